"""The verdict about a source, which follows from preconditions and differences by rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.studies.order.arms import Comparison, decisive
from benchmark.studies.order.preconditions import Precondition
from benchmark.studies.order.reading import Outcome, is_complete, outcome
from benchmark.studies.order.statistics import Difference

Answer = Literal["supported", "refuted", "open"]


@dataclass(frozen=True)
class Verdict:
    """What the experiment says of one source.

    Attributes
    ----------
    answer
        About "understanding the network's change comes first".
    preconditions
        What must hold before any answer but "open".
    outcomes
        Of each decisive comparison that could be made.
    not_made
        Decisive comparisons that could not, or not in every seed.
    """

    answer: Answer
    preconditions: tuple[Precondition, ...]
    outcomes: dict[Comparison, Outcome]
    not_made: list[Comparison]

    @property
    def reason(self) -> str:
        """Why the comparisons decide nothing; empty where all preconditions are met."""
        return "; ".join(each.reason for each in self.preconditions if not each.holds)


def decide(
    source: str,
    controls: Sequence[str],
    comparisons: Mapping[Comparison, Sequence[Difference]],
    preconditions: Sequence[Precondition],
    seeds: int,
) -> Verdict:
    """Apply the criteria.

    Parameters
    ----------
    source
        Of which something is said.
    controls
        Sources that know less.
    comparisons
        Differences of every comparison that could be made, decisive or not.
    preconditions
        What was looked at before.
    seeds
        How many seeds each must have; one with fewer counts as not made.
    """
    needed = decisive(source, controls)
    made = {
        pair: outcome(comparisons[pair]) for pair in needed if is_complete(comparisons.get(pair, ()), seeds)
    }
    not_made = [pair for pair in needed if pair not in made]
    return Verdict(_answer(preconditions, made, not_made), tuple(preconditions), made, not_made)


def _answer(
    preconditions: Sequence[Precondition],
    made: Mapping[Comparison, Outcome],
    not_made: Sequence[Comparison],
) -> Answer:
    if not all(each.holds for each in preconditions):
        return "open"
    if not not_made and all(found == "ahead" for found in made.values()):
        return "supported"
    if "not ahead" in made.values():
        return "refuted"
    return "open"
