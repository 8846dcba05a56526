"""The leaderboard: runs of one data set and split scheme side by side, ranked, with intervals.

Rows are ranked by their mean rank over the headline metrics. A metric's mean is taken over test
perturbations, then over seeds; its interval by resampling perturbations, each with what it scored in every
seed. Ranks compare the seeds that all rows of a block have. Runs on other data, even of the same name, stand
in a block of their own, and so do runs on a split file that another run of the same seed does not share.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from pydantic import BaseModel

from benchmark.metrics import METRICS
from benchmark.tracking import StoredRun

RESAMPLES = 1000
CONFIDENCE = 0.95

Scores: TypeAlias = Mapping[str, Mapping[str, float]]
"""Metric -> test perturbation -> value."""

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
    samples: int = 1
    coverage: float | None = None
    fallbacks: int = 0
    seconds: float | None = None
    metrics: dict[str, Estimate] = {}
    metric_versions: dict[str, str] = {}
    reason: str = ""
    run_ids: list[str]

    @property
    def label(self) -> str:
        """Method, with its configuration and its samples per control cell where they are not the default."""
        unusual = [] if self.configuration == "default" else [self.configuration]
        unusual += [] if self.samples == 1 else [f"{self.samples} samples"]
        return f"{self.method} ({', '.join(unusual)})" if unusual else self.method


class Block(BaseModel):
    """The rows that may be compared with each other: ranked ones first, failures last."""

    dataset: str
    dataset_digest: str
    split: str
    other_split: str = ""
    """Digest of the split file, where it is not the one that the newest run of its seed used."""
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
    newest_split: dict[tuple[str, ...], str] = {}
    readable = [run for run in runs if run.is_readable]
    if len(readable) < len(runs):
        logging.getLogger("benchmark").warning(
            "%d runs were recorded by an older version and are left out; run them again.",
            len(runs) - len(readable),
        )
    for run in readable:
        tags = run.tags
        if dataset not in (None, tags["dataset"]) or split not in (None, tags["split"]):
            continue
        data = (tags["dataset"], tags["split"], tags["dataset_digest"])
        usual = newest_split.setdefault((*data, tags["seed"]), tags["split_digest"])
        other_split = "" if tags["split_digest"] == usual else tags["split_digest"]
        groups[(*data, other_split)].append(run)
    return [
        Block(dataset=name, split=scheme, dataset_digest=digest, other_split=other, rows=_rows(members))
        for (name, scheme, digest, other), members in sorted(groups.items())
    ]


def _rows(runs: Sequence[StoredRun]) -> list[Row]:
    """One row per configuration that has finished runs, and one per run that came to nothing."""
    finished: dict[tuple[str, ...], dict[int, StoredRun]] = defaultdict(dict)
    for run in runs:  # newest first: of runs that differ in nothing but code, the newest counts
        if run.status == "finished":
            finished[_configuration(run)].setdefault(int(run.tags["seed"]), run)
    rest = {
        (*_configuration(run), run.tags["seed"]): run
        for run in reversed(runs)
        if run.status != "finished" and int(run.tags["seed"]) not in finished[_configuration(run)]
    }
    members = [list(by_seed.values()) for by_seed in finished.values() if by_seed]
    seeds = [{int(run.tags["seed"]) for run in group} for group in members]
    shared = set.intersection(*seeds) if seeds else set()
    ranked = _ranked([(_finished_row(group), _shared_means(group, shared)) for group in members])
    unranked = [_unfinished_row(run) for run in rest.values()]
    return ranked + sorted(unranked, key=lambda row: (row.method, row.configuration, row.seed_list))


def _configuration(run: StoredRun) -> tuple[str, ...]:
    names = ("method", "method_version", "config_digest", "cells")
    return (*(run.tags[name] for name in names), _samples(run.tags))


def _samples(tags: dict[str, str]) -> str:
    """Samples per control cell; runs that are older than samples had one."""
    return tags.get("samples", "1")


def _shared_means(runs: Sequence[StoredRun], seeds: set[int]) -> dict[str, float]:
    """Headline means over the given seeds, or over all where none is given; NaN where undefined."""
    scores = [run.scores for run in runs if not seeds or int(run.tags["seed"]) in seeds]
    means = _means(_table(scores, HEADLINE), np.ones((1, _n_labels(scores))))[0]
    return dict(zip(HEADLINE, means.tolist(), strict=True))


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
        metrics=estimate(scores),
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
    return {name: tags[name] for name in names} | {"samples": _samples(tags)}


def _ranked(rows: list[tuple[Row, dict[str, float]]]) -> list[Row]:
    """Sort by mean rank over the headline metrics; an undefined mean ranks last, ties share their rank."""
    if not rows:
        return []
    losses = pd.DataFrame([[_loss(means[name], name) for name in HEADLINE] for _, means in rows])
    mean_ranks = losses.rank().mean(axis=1)
    places = mean_ranks.rank(method="min")
    for (row, _), mean_rank, place in zip(rows, mean_ranks, places, strict=True):
        row.mean_rank, row.rank = round(float(mean_rank), 4), int(place)
    return sorted((row for row, _ in rows), key=lambda row: (row.mean_rank, row.label))


def _loss(mean: float, name: str) -> float:
    if np.isnan(mean):
        return np.inf
    return -mean if METRICS[name].spec.higher_is_better else mean


def estimate(per_seed: Sequence[Scores]) -> dict[str, Estimate]:
    """Mean of every metric over perturbations, then over seeds, with a 95 % bootstrap interval.

    The same perturbation is in the test part of several seeds, so each resample draws perturbations, as
    many as there are different ones, with all that they scored in any seed, and takes the mean over
    perturbations and then over seeds (cluster bootstrap; Davison and Hinkley 1997, section 3.8). The
    interval is the middle 95 % of 1,000 resamples.

    Parameters
    ----------
    per_seed
        For each seed: metric -> test perturbation -> value, NaN where undefined.
    """
    names = tuple(dict.fromkeys(name for scores in per_seed for name in scores))
    table = _table(per_seed, names)
    n_labels = _n_labels(per_seed)
    means = _means(table, np.ones((1, n_labels)))[0]
    resampled = _means(table, _draws(n_labels))
    found = {}
    for index, name in enumerate(names):
        n = int((~np.isnan(table[:, :, index])).sum())
        missing = sum(len(scores.get(name, {})) for scores in per_seed) - n
        if n == 0:
            found[name] = Estimate(mean=None, low=None, high=None, n=0, missing=missing)
            continue
        drawn = resampled[:, index]
        low, high = np.quantile(drawn[~np.isnan(drawn)], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        found[name] = Estimate(
            mean=float(means[index]), low=float(low), high=float(high), n=n, missing=missing
        )
    return found


def _n_labels(per_seed: Sequence[Scores]) -> int:
    return len({label for scores in per_seed for values in scores.values() for label in values})


def _table(per_seed: Sequence[Scores], names: Sequence[str]) -> np.ndarray:
    """Scores as (seeds, perturbations, metrics), perturbations in alphabetical order; NaN where absent."""
    labels = sorted({label for scores in per_seed for values in scores.values() for label in values})
    row = {label: index for index, label in enumerate(labels)}
    table = np.full((len(per_seed), len(labels), len(names)), np.nan)
    for seed, scores in enumerate(per_seed):
        for column, name in enumerate(names):
            values = scores.get(name, {})
            table[seed, [row[label] for label in values], column] = list(values.values())
    return table


def _means(table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over perturbations, then over the seeds that have any: (resamples, metrics).

    Parameters
    ----------
    table
        (seeds, perturbations, metrics), NaN where undefined.
    weights
        How often each perturbation counts, (resamples, perturbations).
    """
    defined = ~np.isnan(table)
    counts = weights @ defined
    sums = weights @ np.where(defined, table, 0.0)
    seeds = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    present = (counts > 0).sum(axis=0)
    return np.divide(seeds.sum(axis=0), present, out=np.full(present.shape, np.nan), where=present > 0)


@cache
def _draws(n: int) -> np.ndarray:
    """How often each of n perturbations is drawn in every resample: (resamples, n)."""
    return np.random.default_rng(n).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)
