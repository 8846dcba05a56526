"""The leaderboard: runs of one data set and split scheme side by side, ranked, with intervals.

Rows are ranked by their mean rank over the headline metrics. A metric's mean is taken over test
perturbations, then over seeds; its interval by resampling perturbations within seeds. Runs on other
data or on other split files, even of the same name, stand in a block of their own.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from benchmark.metrics import METRICS
from benchmark.tracking import StoredRun

RESAMPLES = 1000
CONFIDENCE = 0.95
HEADLINE = tuple(name for name, metric in METRICS.items() if metric.spec.headline)


class Estimate(BaseModel):
    """Mean of a metric with its bootstrap interval; None where it is defined for no perturbation."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    """Perturbations, over all seeds, for which the metric is defined."""
    missing: int
    """Perturbations, over all seeds, for which it is not."""


class Row(BaseModel):
    """One configuration of one method on one data set and split scheme."""

    dataset: str
    dataset_digest: str
    split: str
    method: str
    configuration: str
    status: str
    rank: int | None = None
    mean_rank: float | None = None
    seeds: int
    seed_list: list[int]
    cells: int
    coverage: float | None = None
    fallbacks: int = 0
    seconds: float | None = None
    metrics: dict[str, Estimate] = {}
    metric_versions: dict[str, str] = {}
    reason: str = ""
    run_ids: list[str]

    @property
    def label(self) -> str:
        """Method, with its configuration where that is not the default."""
        return self.method if self.configuration == "default" else f"{self.method} ({self.configuration})"


class Block(BaseModel):
    """The rows that may be compared with each other: ranked ones first, failures last."""

    dataset: str
    dataset_digest: str
    split: str
    rows: list[Row]

    @property
    def seeds(self) -> list[int]:
        """Every seed that any ranked row has; a row with fewer is not quite comparable."""
        return sorted({seed for row in self.rows if row.rank is not None for seed in row.seed_list})


def build_board(
    runs: Sequence[StoredRun], dataset: str | None = None, split: str | None = None
) -> list[Block]:
    """Arrange runs into ranked blocks.

    Parameters
    ----------
    runs
        Everything that is recorded, newest first.
    dataset, split
        Keep only this data set or split scheme.
    """
    groups: dict[tuple[str, ...], list[StoredRun]] = defaultdict(list)
    for run in runs:
        if (dataset or run.tags["dataset"]) == run.tags["dataset"] and (
            split or run.tags["split"]
        ) == run.tags["split"]:
            groups[run.tags["dataset"], run.tags["split"], run.tags["dataset_digest"]].append(run)
    return [
        Block(dataset=name, split=scheme, dataset_digest=digest, rows=_rows(members))
        for (name, scheme, digest), members in sorted(groups.items())
    ]


def _rows(runs: Sequence[StoredRun]) -> list[Row]:
    """One row per configuration that has finished runs, and one per run that came to nothing."""
    newest: dict[str, StoredRun] = {}
    for run in runs:
        kept = newest.get(run.tags["key"])
        if kept is None or (kept.status != "finished" and run.status == "finished"):
            newest[run.tags["key"]] = run
    finished: dict[tuple[str, ...], list[StoredRun]] = defaultdict(list)
    for run in newest.values():
        if run.status == "finished":
            finished[
                run.tags["method"], run.tags["configuration"], run.tags["cells"], run.tags["method_version"]
            ].append(run)
    ranked = _ranked([_finished_row(members) for members in finished.values()])
    rest = [_unfinished_row(run) for run in newest.values() if run.status != "finished"]
    return ranked + sorted(rest, key=lambda row: (row.method, row.configuration, row.seed_list))


def _finished_row(runs: Sequence[StoredRun]) -> Row:
    runs = sorted(runs, key=lambda run: int(run.tags["seed"]))
    scores = [run.scores for run in runs]
    first = runs[0].tags
    return Row(
        **_identity(first),
        status="finished",
        seeds=len(runs),
        seed_list=[int(run.tags["seed"]) for run in runs],
        coverage=float(np.mean([float(run.tags["coverage"]) for run in runs])),
        fallbacks=sum(int(run.tags["fallbacks"]) for run in runs),
        seconds=float(np.mean([float(run.tags["seconds"]) for run in runs])),
        metrics={name: estimate([values[name] for values in scores if name in values]) for name in scores[0]},
        metric_versions=json.loads(first["metric_versions"]),
        run_ids=[run.run_id for run in runs],
    )


def _unfinished_row(run: StoredRun) -> Row:
    return Row(
        **_identity(run.tags),
        status=run.status,
        seeds=1,
        seed_list=[int(run.tags["seed"])],
        reason=run.tags.get("reason", ""),
        run_ids=[run.run_id],
    )


def _identity(tags: dict[str, str]) -> dict[str, Any]:
    names = ("dataset", "dataset_digest", "split", "method", "configuration", "cells")
    return {name: tags[name] for name in names}


def _ranked(rows: list[Row]) -> list[Row]:
    """Sort by mean rank over the headline metrics; an undefined mean ranks last, ties share their rank."""
    if not rows:
        return []
    losses = pd.DataFrame([[_loss(row, name) for name in HEADLINE] for row in rows])
    mean_ranks = losses.rank().mean(axis=1)
    places = mean_ranks.rank(method="min")
    for row, mean_rank, place in zip(rows, mean_ranks, places, strict=True):
        row.mean_rank, row.rank = round(float(mean_rank), 4), int(place)
    return sorted(rows, key=lambda row: (row.mean_rank, row.label))


def _loss(row: Row, name: str) -> float:
    found = row.metrics.get(name)
    if found is None or found.mean is None:
        return np.inf
    return -found.mean if METRICS[name].spec.higher_is_better else found.mean


def estimate(per_seed: Sequence[Sequence[float]]) -> Estimate:
    """Mean over perturbations, then over seeds, with a 95 % bootstrap interval.

    Each resample draws, within each seed, as many perturbations as the seed has, with replacement,
    and takes the mean over perturbations and then over seeds; the interval is the middle 95 % of
    1,000 of them (percentile bootstrap, Efron and Tibshirani 1993, chapter 13).
    """
    seeds = [np.asarray(values, dtype=float) for values in per_seed]
    missing = int(sum(np.isnan(values).sum() for values in seeds))
    defined = [values[~np.isnan(values)] for values in seeds]
    defined = [values for values in defined if len(values)]
    if not defined:
        return Estimate(mean=None, low=None, high=None, n=0, missing=missing)
    resampled = np.mean(
        [_weights(len(values), index) @ values for index, values in enumerate(defined)], axis=0
    )
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    mean = np.mean([values.mean() for values in defined])
    return Estimate(
        mean=float(mean), low=float(low), high=float(high), n=sum(map(len, defined)), missing=missing
    )


@cache
def _weights(n: int, seed: int) -> np.ndarray:
    """How often each of n perturbations is drawn, over n, in every resample: (resamples, n)."""
    return np.random.default_rng([seed, n]).multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
