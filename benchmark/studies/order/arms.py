"""The ways to predict that the experiment tries, and which of them are compared."""

from __future__ import annotations

from typing import NamedTuple

ORDERS = ("latent_first", "expression_first", "joint")
LATENT_FIRST = ORDERS[0]
PRETRAINED = "pretrained"
CONTROLS = ("random", "shuffled", "coexpression")

BASELINE = "train_mean"
"""Knows nothing of which genes were perturbed; what is not ahead of it has learned too little to judge."""
REFERENCES = ("main_effects", "linear", "additive", BASELINE, "no_change")
"""Simple methods that are run too, with their default configuration."""


class Arm(NamedTuple):
    """One way to predict: an attention source and an order, the method without a latent or a simple one."""

    source: str
    order: str = ""

    @property
    def label(self) -> str:
        """What tables call it."""
        return ", ".join(filter(None, self))


HYPOTHESIS = Arm(PRETRAINED, LATENT_FIRST)
NO_LATENT = Arm("no latent")


class Comparison(NamedTuple):
    """Two arms, the first of which is what the hypothesis favours."""

    first: Arm
    second: Arm

    @property
    def label(self) -> str:
        """Name only what differs."""
        if NO_LATENT in self:
            return f"{self.first.order} − {self.second.label}"
        one, other = next((a, b) for a, b in zip(self.first, self.second, strict=True) if a != b)
        return f"{one} − {other}"


OF_ORDERS = tuple(Comparison(HYPOTHESIS, Arm(PRETRAINED, order)) for order in ORDERS[1:])
OF_SOURCES = tuple(Comparison(HYPOTHESIS, Arm(source, LATENT_FIRST)) for source in CONTROLS)
OF_LATENT = Comparison(HYPOTHESIS, NO_LATENT)
DECISIVE = (*OF_ORDERS, *OF_SOURCES)
"""What the verdict rests on."""
