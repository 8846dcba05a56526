"""What must hold before anything is concluded about a source: rules that know no result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmark.studies.order.arms import BAR, OF_TOLD, ORACLE, Comparison, of_orders
from benchmark.studies.order.reading import counts, in_words, is_behind, is_complete, outcome
from benchmark.studies.order.statistics import Difference

TOLERANCE = 0.02
"""By which the R^2 of latents may be below that of a ridge regression, and what generating them may cost."""
NOT_MADE = "not made in every seed"
UNSAID = "a training does not say"

Comparisons = Mapping[Comparison, Sequence[Difference]]


class LatentFit(NamedTuple):
    """What a training says of its latents, R^2; None where it does not say.

    Attributes
    ----------
    own, ridge
        Of training doubles that were held out: as the method predicts them, and as a ridge regression does.
    generated
        Between what the flow generates and what it is told, on validation perturbations.
    """

    own: float | None
    ridge: float | None
    generated: float | None


@dataclass(frozen=True)
class Precondition:
    """One that was looked at.

    Attributes
    ----------
    what
        What must hold.
    holds
        Whether it does; None where it cannot be judged.
    figures
        What was found.
    reason
        Why nothing is concluded where it does not hold.
    """

    what: str
    holds: bool | None
    figures: str
    reason: str


def not_behind(differences: Sequence[Difference], seeds: int) -> Precondition:
    """The arm is not behind the simple method that is the bar."""
    what = f"`latent_first` is not behind `{BAR}`"
    if not is_complete(differences, seeds):
        return Precondition(what, None, NOT_MADE, f"it cannot be judged whether it is behind {BAR}")
    return Precondition(what, not is_behind(differences), counts(differences), f"it is behind {BAR}")


def latent_known(fits: Mapping[int, LatentFit], seeds: int) -> Precondition:
    """The latent of a double is predicted no worse than a ridge does, on average over seeds."""
    pairs = {seed: (fit.own, fit.ridge) for seed, fit in fits.items()}
    known = {
        seed: (own, ridge) for seed, (own, ridge) in pairs.items() if own is not None and ridge is not None
    }
    what = "the latent of a double is predicted no worse than by a ridge"
    if len(known) < seeds:
        return Precondition(what, None, UNSAID, "it cannot be judged how well its latent is predicted")
    behind = float(np.mean([ridge - own for own, ridge in known.values()]))
    figures = "; ".join(f"{own:.3f} against {ridge:.3f}" for _, (own, ridge) in sorted(known.items()))
    return Precondition(
        what, behind <= TOLERANCE, f"R² {figures}", "its latent is predicted worse than by a ridge"
    )


def latent_generated(fits: Mapping[int, LatentFit], seeds: int) -> Precondition:
    """The flow generates latents where it is told that they lie, on average over seeds.

    What it generates instead is an error beside that of what it is told. In units of R^2 of the latents it
    costs what is missing between generated and told, times what is known of them at all: of a latent that
    nobody can predict next to nothing is told, and nothing can be lost.
    """
    pairs = {seed: (fit.generated, fit.own) for seed, fit in fits.items()}
    known = {seed: (one, own) for seed, (one, own) in pairs.items() if one is not None and own is not None}
    what = "the flow generates the latent that it is told"
    if len(known) < seeds:
        return Precondition(what, None, UNSAID, "it cannot be judged which latent its flow generates")
    lost = {seed: (1 - one) * max(own, 0.0) for seed, (one, own) in known.items()}
    figures = "; ".join(f"{known[seed][0]:.3f} (costs {lost[seed]:.3f})" for seed in sorted(known))
    return Precondition(
        what,
        float(np.mean(list(lost.values()))) <= TOLERANCE,
        f"R² {figures}",
        "its flow does not generate the latent that it is told",
    )


def latent_matters(comparisons: Comparisons, seeds: int) -> Precondition:
    """The true latent, told, predicts better than a wrong one."""
    what = "the true latent, told, is ahead of a wrong one"
    differences = comparisons.get(OF_TOLD, ())
    if not is_complete(differences, seeds):
        return Precondition(what, None, NOT_MADE, "no true latent was told")
    holds = outcome(differences) == "ahead"
    return Precondition(what, holds, in_words(differences), "a true latent is not ahead of a wrong one")


def finds_effect(comparisons: Comparisons, seeds: int) -> Precondition:
    """The positive control comes out as it must: with the oracle the latent first is ahead of both orders."""
    what = f"with the {ORACLE} `latent_first` is ahead of both other orders"
    pairs = [(pair.second.order, comparisons.get(pair, ())) for pair in of_orders(ORACLE)]
    if not all(is_complete(differences, seeds) for _, differences in pairs):
        return Precondition(what, None, NOT_MADE, "there is no positive control in every seed")
    figures = "; ".join(f"{order}: {in_words(differences)}" for order, differences in pairs)
    holds = all(outcome(differences) == "ahead" for _, differences in pairs)
    return Precondition(what, holds, figures, "this experiment could not have found an effect")


def without_truth() -> Precondition:
    """On measured data nobody knows the network, so that nothing shows what the experiment can find."""
    return Precondition(
        "a positive control comes out ahead",
        None,
        "no truth is known of these data; the report of `simulated` has one",
        "no truth is known of these data, so there is no positive control",
    )
