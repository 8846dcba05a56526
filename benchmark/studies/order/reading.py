"""What differences say: of one metric, and of all headline metrics together. Set before any result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from benchmark.board import HEADLINE
from benchmark.evaluation.metrics import METRICS
from benchmark.studies.order.statistics import Difference

ALPHA = 0.05
NEEDED = len(HEADLINE) // 2 + 1
"""Headline metrics that must agree: more than half of them."""
WORTH = 0.05
"""A gain is worth counting from this share of what separates the second arm from a perfect score."""

Reading = Literal["better", "worse", "no better", "undecided"]
Outcome = Literal["ahead", "not ahead", "undecided"]


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


def is_behind(differences: Sequence[Difference]) -> bool:
    """Whether more than half of the headline metrics say that the first arm is worse."""
    return [read(each) for each in differences].count("worse") >= NEEDED


def is_complete(differences: Sequence[Difference], seeds: int) -> bool:
    """Whether a comparison was made in every seed."""
    return any(len(each.by_seed) == seeds for each in differences)


def in_words(differences: Sequence[Difference]) -> str:
    """The outcome, and how many metrics read what."""
    return f"*{outcome(differences)}* ({counts(differences)})"


def counts(differences: Sequence[Difference]) -> str:
    """How many metrics read what."""
    readings = [read(each) for each in differences]
    return ", ".join(f"{kind} in {readings.count(kind)}" for kind in dict.fromkeys(sorted(readings)))
