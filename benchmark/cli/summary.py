"""What a run came to: the headline metrics, beside what they have to be compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.board import BASELINE, HEADLINE, LIMIT
from benchmark.cli.screen import print_table
from benchmark.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from benchmark.board import Estimate
    from benchmark.records.record import Coordinates, Record
    from benchmark.records.tracking import StoredRun

SIMPLE = ("additive", "boosted", "linear", "main_effects", "mean_of_genes", "nearest", "saturation")
"""The best of these is what a method has to beat."""
SMALL = 0.1
"""Smaller numbers have another digit."""

Means = Mapping[str, float]
"""Of the headline metrics."""


def print_summary(record: Record, runs: Sequence[StoredRun]) -> None:
    """Print the headline metrics with intervals, beside train mean, best simple method and limit.

    Parameters
    ----------
    record
        Of the run.
    runs
        All that are recorded; those of the same data, split and seed are looked at.
    """
    from benchmark.board import estimate

    at = record.coordinates
    scores = {
        name: {
            label: math.nan if value is None else value
            for label, value in zip(record.perturbations, record.scores[name], strict=True)
        }
        for name in HEADLINE
        if name in record.scores
    }
    own, beside = estimate([scores]), _beside(at, runs)
    print_table(
        [
            {"metric": METRICS[name].spec.heading, at.method: _with_interval(own[name])}
            | {title: _number(means.get(name)) for title, means in beside.items()}
            for name in scores
        ],
        close=True,
    )


def _beside(at: Coordinates, runs: Sequence[StoredRun]) -> dict[str, Means]:
    """What to compare with, under headings that say what it is."""
    due = {
        "dataset_digest": at.dataset_digest,
        "split_digest": at.split_digest,
        "seed": str(at.seed),
        "configuration": "default",
        "status": "finished",
    }
    alike: dict[str, StoredRun] = {}
    for run in runs:  # newest first
        if due.items() <= run.tags.items() and run.is_readable and run.tags["method"] != at.method:
            alike.setdefault(run.tags["method"], run)
    simple = {name: _means(run) for name, run in alike.items() if name in SIMPLE}
    found = {BASELINE: _means(alike[BASELINE])} if BASELINE in alike else {}
    if simple:
        best = min(simple, key=lambda name: _mean_place(simple[name], list(simple.values())))
        found[f"{best}\n(best simple)"] = simple[best]
    return found | ({LIMIT: _means(alike[LIMIT])} if LIMIT in alike else {})


def _means(run: StoredRun) -> Means:
    """Means of the headline metrics over the perturbations for which they are defined."""
    found = {}
    for name, values in run.scores.items():
        defined = [value for value in values.values() if not math.isnan(value)]
        if name in HEADLINE and defined:
            found[name] = math.fsum(defined) / len(defined)
    return found


def _mean_place(means: Means, rivals: Sequence[Means]) -> float:
    """How many are better, on average over the headline metrics."""
    better = [
        (rival[name] > value) if METRICS[name].spec.higher_is_better else (rival[name] < value)
        for name, value in means.items()
        for rival in rivals
        if name in rival
    ]
    return sum(better) / max(len(better), 1)


def _with_interval(estimate: Estimate) -> str:
    shown = _number(estimate.mean)
    return shown if estimate.low is None else f"{shown} [{_number(estimate.low)}, {_number(estimate.high)}]"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) >= SMALL else f"{value:.4f}"
