"""The runs that curves are made of, and what each point of them has."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.board import HEADLINE, Estimate, estimate
from benchmark.data.dataset import find_dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.statistics import SeedScores
from benchmark.predicting import CELLS
from benchmark.records.record import Record
from benchmark.runs.request import Request, check
from benchmark.runs.run import run
from benchmark.splits import resolved
from benchmark.studies.order.statistics import scores_of

REFERENCES = ("train_mean", "additive", "main_effects", "saturation", "boosted")
"""Simple methods, which stand beside as lines: at their own budget, with all training perturbations."""

_log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Asked:
    """What curves are asked for.

    Attributes
    ----------
    methods, dataset, split, cells
        As in a run.
    seeds
        How many, from 0.
    budgets
        What the length of training is multiplied with; 1 is always among them.
    shares
        Parts of the training perturbations; 1 is always among them.
    """

    methods: tuple[str, ...]
    dataset: str = "simulated"
    split: str = "doubles"
    seeds: int = 3
    cells: int = CELLS
    budgets: tuple[float, ...] = (0.25, 1.0, 4.0)
    shares: tuple[float, ...] = (0.25, 0.5, 1.0)

    def requests(self, method: str) -> list[Request]:
        """Every run of one method, the whole first, then by budget, then by share; of each all seeds."""
        whole = Request(method, self.dataset, self.split, cells=self.cells)
        budgets = [replace(whole, budget=budget) for budget in sorted({*self.budgets} - {1.0})]
        shares = [replace(whole, train_share=share) for share in sorted({*self.shares} - {1.0})]
        return [replace(each, seed=seed) for each in (whole, *budgets, *shares) for seed in range(self.seeds)]


@dataclass(frozen=True)
class Point:
    """One budget and share of one method.

    Attributes
    ----------
    budget, share
        Of training, and of the training perturbations.
    scores
        Seed -> metric -> perturbation -> value.
    processor_seconds
        Of training, mean over seeds; None where it was not recorded.
    coverage
        Part of the test perturbations that the method answered, mean over seeds.
    """

    budget: float
    share: float
    scores: SeedScores
    processor_seconds: float | None
    coverage: float

    @property
    def estimates(self) -> dict[str, Estimate]:
        """Headline metric -> mean over perturbations and seeds with its interval."""
        found = estimate([self.scores[seed] for seed in sorted(self.scores)])
        return {name: found[name] for name in HEADLINE if name in found}

    @classmethod
    def of(cls, records: Sequence[Record]) -> Point:
        """Make a point of the runs of its seeds."""
        at = records[0].coordinates
        seconds = [each.processor_seconds for each in records if each.processor_seconds is not None]
        return cls(
            at.budget,
            at.train_share,
            {each.coordinates.seed: scores_of(each) for each in records},
            float(np.mean(seconds)) if seconds else None,
            float(np.mean([each.coverage for each in records])),
        )


@dataclass(frozen=True)
class Curves:
    """What came out.

    Attributes
    ----------
    asked
        What was asked for.
    points
        Method -> its points: the whole first, then by budget, then by share.
    references
        Simple method -> its one point.
    failed
        Runs that came to nothing, with the reason.
    """

    asked: Asked
    points: dict[str, list[Point]]
    references: dict[str, Point]
    failed: list[str]


def draw_curves(asked: Asked) -> Curves:
    """Do every run that is not recorded yet; one that fails is named, and the rest goes on.

    Raises
    ------
    BenchmarkError
        Before anything is run, for whatever is asked for that cannot be.
    """
    if asked.seeds < 1:
        raise BenchmarkError(f"At least 1 seed is needed, not {asked.seeds}.")
    for method in asked.methods:
        for request in asked.requests(method):
            check(request)
    asked = replace(asked, split=resolved(find_dataset(asked.dataset), asked.split, seed=0))
    failed: list[str] = []
    points = {method: _points(asked.requests(method), failed) for method in asked.methods}
    alone = replace(asked, budgets=(1.0,), shares=(1.0,))
    found = {name: _points(alone.requests(name), failed) for name in REFERENCES if name not in points}
    return Curves(asked, points, {name: each[0] for name, each in found.items() if each}, failed)


def _points(requests: Sequence[Request], failed: list[str]) -> list[Point]:
    """Run all of them; those that differ in their seed alone are one point."""
    records: dict[tuple[float, float], list[Record]] = {}
    for request in requests:
        at = (request.budget, request.train_share)
        what = f"{request.method}, budget {at[0]:g}, training {at[1]:.0%}, seed {request.seed}"
        _log.info("%s", what)
        try:
            records.setdefault(at, []).append(run(request)[0])
        except Exception as error:
            failed.append(f"{what}: {str(error).partition(chr(10))[0]}")
            _log.warning("Failed: %s", failed[-1])
    return [Point.of(found) for found in records.values() if found]
