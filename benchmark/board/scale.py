"""Scores on the scale that the data allow: 0 is what the baseline scores, 1 the upper bound.

For metrics that read means the bound is the limit, what a model that knew the true means would score; for
metrics that read cells it is the replicate ceiling, one half of the real cells as a prediction of the other.
A score u becomes (u - b) / (c - b), with the baseline b and the bound c of the same perturbation, metric and
seed, and is never clipped. Where the bound is hardly above the baseline the quotient is noise. So
perturbations with a dynamic range fraction (c - b) / (best - b) below a tenth (Miller et al. 2025, bioRxiv
2025.10.20.683304; `best` is the value of a perfect prediction) are left out of the mean, counted, and get a
plain mean of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import numpy as np

from benchmark.board.intervals import ScoreTable, estimates, plain, plain_means
from benchmark.board.ranks import Member
from benchmark.board.rows import BASELINE, CEILING, LIMIT, Scaled
from benchmark.evaluation.metrics import METRICS

LEAST_RANGE = 0.1


@dataclass(frozen=True)
class Bound:
    """One run that is an end of the scale.

    Attributes
    ----------
    values
        float, (perturbations, metrics).
    versions
        Metric -> version that it was scored with.
    """

    values: np.ndarray
    versions: Mapping[str, str]


class Ends(NamedTuple):
    """Both ends of the scale of one seed.

    Attributes
    ----------
    lower, upper
        float, (perturbations, metrics).
    versions
        Of each metric that both were scored with in one version, and that has a finite perfect value; None
        where neither knows it.
    """

    lower: np.ndarray
    upper: np.ndarray
    versions: Mapping[str, str | None]


@dataclass
class Bounds:
    """What gives a block its scale.

    Attributes
    ----------
    lower
        (seed, cells) -> the baseline with its default configuration. The bounds, which predict for no
        cells, are compared with that of any number.
    upper
        Seed -> for each bound that was recorded, by its name.
    """

    lower: dict[tuple[int, int], Bound] = field(default_factory=dict)
    upper: dict[int, dict[str, Bound]] = field(default_factory=dict)

    @classmethod
    def among(cls, members: Iterable[Member]) -> Bounds:
        """Find the bounds among the rows of a block; the first of several counts."""
        found = cls()
        for member in members:
            row, table = member.row, member.table
            for seed, values, versions in zip(table.seeds, table.values, member.versions, strict=True):
                bound = Bound(values, versions)
                if row.is_bound:
                    found.upper.setdefault(seed, {}).setdefault(row.method, bound)
                elif (row.method, row.configuration) == (BASELINE, "default"):
                    found.lower.setdefault((seed, row.cells), bound)
                    found.lower.setdefault((seed, 0), bound)
        return found


def add_scales(members: Sequence[Member]) -> None:
    """Write the scaled scores of each row into it, over the seeds that have both bounds.

    Scores of different versions of a metric are not put on one scale.

    Parameters
    ----------
    members
        Rows of one block, whose tables have the same metrics and perturbations; newest first.
    """
    bounds = Bounds.among(members)

    @cache  # many rows have the same ends
    def scale_of(seed: int, cells: int) -> Ends:
        names = members[0].table.names
        return _ends(names, bounds.lower[seed, cells], _upper(bounds.upper[seed], names))

    for member in members:
        table, cells = member.table, member.row.cells
        chosen = [
            index
            for index, seed in enumerate(table.seeds)
            if (seed, cells) in bounds.lower and seed in bounds.upper
        ]
        if not chosen:
            continue
        seeds = tuple(table.seeds[index] for index in chosen)
        ends = [scale_of(seed, cells) for seed in seeds]
        own = replace(table, seeds=seeds, values=table.values[chosen], listed=table.listed[chosen])
        versions = [member.versions[index] for index in chosen]
        usable = np.array(
            [
                [name in end.versions and of_seed.get(name) == end.versions[name] for name in table.names]
                for of_seed, end in zip(versions, ends, strict=True)
            ]
        )
        member.row.scaled = scaled(
            own.keep(usable[:, None]),
            np.stack([end.lower for end in ends]),
            np.stack([end.upper for end in ends]),
        )


def _upper(recorded: Mapping[str, Bound], names: Sequence[str]) -> Bound:
    """Put together the bound of each metric from those that were recorded."""
    nothing = Bound(np.full_like(next(iter(recorded.values())).values, np.nan), {})
    chosen = [recorded.get(_bound_of(name), nothing) for name in names]
    return Bound(
        np.stack([bound.values[:, column] for column, bound in enumerate(chosen)], axis=-1),
        {
            name: bound.versions[name]
            for name, bound in zip(names, chosen, strict=True)
            if name in bound.versions
        },
    )


def _bound_of(name: str) -> str:
    """Which bound a metric has."""
    return CEILING if name in METRICS and METRICS[name].spec.reads == "cells" else LIMIT


def _ends(names: Sequence[str], lower: Bound, upper: Bound) -> Ends:
    alike = {
        name: lower.versions.get(name)
        for name in names
        if _has_finite_best(name) and lower.versions.get(name) == upper.versions.get(name)
    }
    return Ends(lower.values, upper.values, alike)


def _has_finite_best(name: str) -> bool:
    best = METRICS[name].spec.best if name in METRICS else None
    return best is not None and bool(np.isfinite(best))


def scaled(table: ScoreTable, baseline: np.ndarray, bound: np.ndarray) -> dict[str, Scaled]:
    """Put scores on the scale between two bounds.

    Parameters
    ----------
    table
        Of metrics with a finite perfect value, or with nothing listed.
    baseline, bound
        Of the shape of its values.
    """
    flat = is_flat(table.names, baseline, bound) & table.listed
    width = np.where(flat, np.nan, bound - baseline)
    on_scale = table.keep(~flat, (table.values - baseline) / width)
    flat_means = plain(plain_means(np.where(flat, table.values, np.nan), table.contexts))
    counts = flat.sum(axis=(0, 1))
    found = estimates(on_scale)
    nothing = {"mean": None, "low": None, "high": None, "n": 0, "missing": 0}
    return {
        name: Scaled(
            **(found[name].model_dump() if name in found else nothing),
            flat=int(counts[index]),
            flat_mean=flat_means[index],
        )
        for index, name in enumerate(table.names)
        if table.listed[..., index].any()
    }


def is_flat(names: Sequence[str], baseline: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Whether a perturbation cannot discriminate in a metric: bool, (..., metrics); False where undefined.

    Written without the quotient, so that a perfect baseline, which leaves no range, counts as flat.
    """
    specs = [METRICS[name].spec if name in METRICS else None for name in names]
    best = np.array([np.nan if spec is None or spec.best is None else spec.best for spec in specs])
    sign = np.array([1.0 if spec is None else spec.sign for spec in specs])
    gain, room = sign * (bound - baseline), sign * (best - baseline)
    return (gain <= 0) | (gain < LEAST_RANGE * room)
