"""The sanity values of a protocol: measured, and held against what was published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmark.data import Dataset
from benchmark.errors import BenchmarkError
from benchmark.studies.protocols.card import ProtocolCard, Sanity, split_of
from benchmark.studies.protocols.quantities import QUANTITIES, Setting


@dataclass(frozen=True)
class Checked:
    """A sanity value beside what was found."""

    value: Sanity
    found: float

    @property
    def agrees(self) -> bool:
        """Whether it is what was published; NaN never is."""
        expected = self.value.expected
        return abs(self.found - expected) <= self.value.tolerance * abs(expected)


def sanity_values(card: ProtocolCard, dataset: Dataset) -> list[Checked]:
    """Measure the sanity values of a protocol on its data set, in the order of the card."""

    @cache
    def setting(seed: int) -> Setting:
        return Setting(dataset, split_of(card, dataset, seed), card.most_variable)

    def measure(value: Sanity) -> float:
        seeds = card.seeds if value.seed is None else (value.seed,)
        return float(np.mean([QUANTITIES[value.quantity].measure(setting(seed)) for seed in seeds]))

    return [Checked(value, measure(value)) for value in card.sanity]


def require_agreement(card: ProtocolCard, checked: Sequence[Checked]) -> None:
    """Refuse data that do not give the published values.

    Raises
    ------
    BenchmarkError
        When a value differs by more than its tolerance.
    """
    wrong = [each for each in checked if not each.agrees]
    if wrong:
        first = wrong[0].value
        at = "" if first.seed is None else f" of seed {first.seed}"
        raise BenchmarkError(
            f"{len(wrong)} of {len(checked)} sanity values of protocol '{card.name}' are not the published "
            f"ones, such as {first.quantity}{at} ({wrong[0].found:.6g}, not {first.expected:.6g}): data or "
            f"splits differ from the publication's; get the file of '{card.dataset}' again, or accept that "
            "with --accept-mismatch."
        )
