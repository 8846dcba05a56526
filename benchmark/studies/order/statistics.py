"""Paired differences between two arms over the same test perturbations, with intervals and tests.

The unit is the perturbation. The same one is in the test part of several seeds, where it has the same real
cells, so its differences are averaged over seeds first: neither the bootstrap nor the signed-rank test
allows for pairs that belong together. What is left out that way is how another training would come out,
about which a few seeds say little; the mean difference of each seed is there to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmark.board import HEADLINE
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.statistics import Scores, SeedScores, holm, interval, signed_rank
from benchmark.records.record import Record


@dataclass(frozen=True)
class Pairs:
    """Differences of two arms in one metric, turned so that positive means: the first is better.

    Attributes
    ----------
    values
        float, (perturbations,): mean over the seeds in which both arms are defined, by label.
    by_seed
        Mean over perturbations in each seed.
    second
        Mean score of the second arm over the same pairs.
    undefined
        Pairs of a seed and a perturbation that are left out, because an arm is undefined there.
    """

    values: np.ndarray
    by_seed: dict[int, float]
    second: float
    undefined: int


@dataclass(frozen=True)
class Difference:
    """How two arms differ in one metric; positive means that the first is better. NaN without any pair.

    Attributes
    ----------
    metric
        Its name.
    mean, low, high
        Mean over perturbations with its 95 % bootstrap interval.
    p, corrected
        Two-sided Wilcoxon signed-rank test, before and after Holm's correction over the metrics.
    better, worse
        Shares of perturbations with a positive and with a negative difference.
    n
        Perturbations.
    undefined, by_seed, second
        As in `Pairs`.
    deviation
        Standard deviation of the differences over perturbations; NaN of fewer than two.
    """

    metric: str
    mean: float
    low: float
    high: float
    p: float
    corrected: float
    better: float
    worse: float
    n: int
    undefined: int
    by_seed: dict[int, float]
    second: float
    deviation: float


def scores_of(record: Record) -> Scores:
    """Metric -> test perturbation -> value, NaN where undefined."""
    return {
        name: {
            label: np.nan if value is None else value
            for label, value in zip(record.perturbations, values, strict=True)
        }
        for name, values in record.scores.items()
    }


def turned(metric: str) -> str:
    """Name a metric whose differences are turned so that positive is better."""
    return metric if METRICS[metric].spec.higher_is_better else f"{metric}, sign turned"


def compare(first: SeedScores, second: SeedScores, metrics: Sequence[str] = HEADLINE) -> list[Difference]:
    """Compare two arms in several metrics, which are the family of the correction.

    Parameters
    ----------
    first, second
        Scores of the two arms; seeds that only one of them has are left out.
    metrics
        Their names.
    """
    found = [_difference(name, pair(first, second, name)) for name in metrics]
    corrected = holm([each.p for each in found])
    return [replace(each, corrected=value) for each, value in zip(found, corrected, strict=True)]


def pair(first: SeedScores, second: SeedScores, metric: str) -> Pairs:
    """Pair two arms by seed and perturbation."""
    sign = METRICS[metric].spec.sign
    by_label: dict[str, list[float]] = {}
    by_seed: dict[int, float] = {}
    seconds: list[float] = []
    undefined = 0
    for seed in sorted(first.keys() & second.keys()):
        one, other = first[seed].get(metric, {}), second[seed].get(metric, {})
        differences = {
            label: sign * (one[label] - other[label]) for label in sorted(one.keys() & other.keys())
        }
        defined = {label: value for label, value in differences.items() if not np.isnan(value)}
        undefined += len(differences) - len(defined)
        seconds += [other[label] for label in defined]
        if defined:
            by_seed[seed] = float(np.mean(list(defined.values())))
        for label, value in defined.items():
            by_label.setdefault(label, []).append(value)
    values = np.array([np.mean(by_label[label]) for label in sorted(by_label)])
    return Pairs(values, by_seed, float(np.mean(seconds)) if seconds else np.nan, undefined)


def _difference(metric: str, pairs: Pairs) -> Difference:
    values = pairs.values
    n = len(values)
    low, high = interval(values) if n else (np.nan, np.nan)
    return Difference(
        metric=metric,
        mean=float(values.mean()) if n else np.nan,
        low=low,
        high=high,
        p=float(signed_rank(values)) if n else np.nan,
        corrected=np.nan,
        better=float((values > 0).mean()) if n else np.nan,
        worse=float((values < 0).mean()) if n else np.nan,
        n=n,
        undefined=pairs.undefined,
        by_seed=pairs.by_seed,
        second=pairs.second,
        deviation=float(values.std(ddof=1)) if n > 1 else np.nan,
    )
