"""The ways to predict that the experiment tries, and which of them are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ORDERS = ("latent_first", "expression_first", "joint")
LATENT_FIRST = ORDERS[0]
TRUE_LATENT, WRONG_LATENT = TOLD = ("true_latent", "wrong_latent")
"""Latent first, where prediction is told that of the truth, or the true one of another perturbation."""

TESTED = ("pretrained", "regression")
"""Sources of the network that an answer is given for: attention, and a network fitted to cells."""
ORACLE = "oracle"
"""The positive control; it knows the truth of simulated data."""
NEGATIVES = ("noise", "wrong")
"""Sources that know nothing of a perturbation; they are always there."""
CONTROLS = ("random", "shuffled", "coexpression")
"""Further sources that know less of the network than attention, as long as they are asked for."""

BAR = "main_effects"
"""What an arm may not be behind of."""
REFERENCES = (BAR, "linear", "additive", "train_mean", "no_change")
"""Simple methods that are run too, with their default configuration."""


class Arm(NamedTuple):
    """One way to predict: a source and an order, the method without a latent or a simple one."""

    source: str
    order: str = ""

    @property
    def label(self) -> str:
        """What tables call it."""
        return ", ".join(filter(None, self))


NO_LATENT = Arm("no latent")


class Comparison(NamedTuple):
    """Two arms, the first of which is what the hypothesis favours."""

    first: Arm
    second: Arm

    @property
    def label(self) -> str:
        """Name what differs, and of which source it is."""
        if self.first.source == self.second.source:
            return f"{self.first.source}: {self.first.order} − {self.second.order}"
        return f"{self.first.source} − {self.second.source}"

    @property
    def differs_in(self) -> str:
        """What differs, in one or two words."""
        if NO_LATENT in self:
            return "latent"
        if self == OF_TOLD:
            return "told latent"
        return "order" if self.first.source == self.second.source else "source"


OF_TOLD = Comparison(Arm(ORACLE, TRUE_LATENT), Arm(ORACLE, WRONG_LATENT))


def of_orders(source: str) -> tuple[Comparison, ...]:
    """The latent first against the other orders from the same weights."""
    return tuple(Comparison(Arm(source, LATENT_FIRST), Arm(source, order)) for order in ORDERS[1:])


def of_controls(source: str, controls: Sequence[str]) -> tuple[Comparison, ...]:
    """A source against sources that know less, all latent first."""
    return tuple(Comparison(Arm(source, LATENT_FIRST), Arm(other, LATENT_FIRST)) for other in controls)


def of_latent(source: str) -> Comparison:
    """A source against the method without a latent."""
    return Comparison(Arm(source, LATENT_FIRST), NO_LATENT)


def decisive(source: str, controls: Sequence[str]) -> tuple[Comparison, ...]:
    """What the verdict about a source rests on."""
    return (*of_orders(source), *of_controls(source, controls))
