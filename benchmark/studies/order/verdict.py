"""The criteria, set before any result, and the verdict that follows from the differences by rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.board import HEADLINE
from benchmark.evaluation.metrics import METRICS
from benchmark.studies.order.arms import DECISIVE, Comparison
from benchmark.studies.order.statistics import Difference

ALPHA = 0.05
NEEDED = len(HEADLINE) // 2 + 1
"""Headline metrics that must agree: more than half of them."""
WORTH = 0.05
"""A gain is worth counting from this share of what separates the second arm from a perfect score."""

Reading = Literal["better", "worse", "no better", "undecided"]
Outcome = Literal["ahead", "not ahead", "undecided"]
Answer = Literal["supported", "refuted", "open"]


@dataclass(frozen=True)
class Verdict:
    """What the experiment says.

    Attributes
    ----------
    answer
        About "understanding the network's change comes first".
    learned
        Of the precondition: `HYPOTHESIS` against `BASELINE`; None where it was not made in every seed.
    outcomes
        Of each decisive comparison that could be made.
    not_made
        Decisive comparisons that could not, or not in every seed.
    """

    answer: Answer
    learned: Outcome | None
    outcomes: dict[Comparison, Outcome]
    not_made: list[Comparison]

    @property
    def reason(self) -> str:
        """Why the comparisons decide nothing; empty where the precondition is met."""
        if self.learned is None:
            return "it cannot be judged whether the network has learned enough"
        return "" if self.learned == "ahead" else "it has not been shown that the network has learned enough"


def worthwhile(difference: Difference) -> float:
    """Smallest gain over the second arm that counts, on the metric's scale."""
    spec = METRICS[difference.metric].spec
    perfect = spec.range[1] if spec.higher_is_better else spec.range[0]
    return WORTH * abs(perfect - difference.second)


def read(difference: Difference) -> Reading:
    """Say what one metric shows of the first arm against the second."""
    significant = difference.corrected < ALPHA
    if significant and difference.low > 0:
        return "better"
    if significant and difference.high < 0:
        return "worse"
    if difference.high <= worthwhile(difference):
        return "no better"
    return "undecided"


def outcome(differences: Sequence[Difference]) -> Outcome:
    """Say what the headline metrics show together."""
    readings = [read(each) for each in differences]
    if readings.count("better") >= NEEDED and "worse" not in readings:
        return "ahead"
    if readings.count("worse") + readings.count("no better") >= NEEDED:
        return "not ahead"
    return "undecided"


def decide(
    comparisons: Mapping[Comparison, Sequence[Difference]], precondition: Sequence[Difference], seeds: int
) -> Verdict:
    """Apply the criteria.

    Parameters
    ----------
    comparisons
        Differences of every comparison that could be made, decisive or not.
    precondition
        Differences of `HYPOTHESIS` from `BASELINE`; empty where there are none.
    seeds
        How many seeds each must have; one with fewer counts as not made.
    """
    learned = outcome(precondition) if _is_complete(precondition, seeds) else None
    made = {
        pair: outcome(comparisons[pair])
        for pair in DECISIVE
        if _is_complete(comparisons.get(pair, ()), seeds)
    }
    not_made = [pair for pair in DECISIVE if pair not in made]
    return Verdict(_answer(learned, made, not_made), learned, made, not_made)


def _is_complete(differences: Sequence[Difference], seeds: int) -> bool:
    return any(len(each.by_seed) == seeds for each in differences)


def _answer(
    learned: Outcome | None, made: Mapping[Comparison, Outcome], not_made: Sequence[Comparison]
) -> Answer:
    if learned != "ahead":
        return "open"
    if not not_made and all(found == "ahead" for found in made.values()):
        return "supported"
    if "not ahead" in made.values():
        return "refuted"
    return "open"
