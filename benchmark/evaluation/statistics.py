"""Bootstrap intervals, the signed-rank test and Holm's correction, as the board and the experiments use them.

The unit is the test perturbation: what it scored in several seeds is drawn, or averaged, together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from benchmark.evaluation.metrics.ordered import average_ranks

CONFIDENCE = 0.95

RESAMPLES = 10_000
FEW = 13
"""Up to so many values the signed-rank test is exact also with ties and zeros, as in SciPy, but fast."""

Scores: TypeAlias = Mapping[str, Mapping[str, float]]
"""Metric -> test perturbation -> value, NaN where undefined."""

SeedScores: TypeAlias = Mapping[int, Scores]
"""Seed -> metric -> test perturbation -> value, NaN where undefined."""


@lru_cache(maxsize=32)
def draws(n: int, resamples: int = RESAMPLES, seed: int | tuple[int, ...] = 0) -> np.ndarray:
    """How often each of n perturbations is drawn in every resample: float, read-only, (resamples, n)."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)
    drawn.flags.writeable = False
    return drawn


def weighted_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over perturbations, then over the seeds that have any: (resamples, columns).

    Parameters
    ----------
    values
        (seeds, perturbations, columns), NaN where undefined.
    weights
        How often each perturbation counts, (resamples, perturbations).

    Returns
    -------
    numpy.ndarray
        NaN where nothing that is defined has a weight.
    """
    means = np.empty((len(weights), values.shape[2]))
    totals = weights.sum(axis=1, keepdims=True)
    whole = ~np.isnan(values).any(axis=(0, 1)) & (totals > 0).all()
    # Where all is defined, seeds may be averaged first, and there is one product instead of one for each.
    if whole.any():
        means[:, whole] = weights @ values.compress(whole, axis=2).mean(axis=0) / totals
    if not whole.all():
        means[:, ~whole] = _means_of_some(values.compress(~whole, axis=2), weights)
    return means


def _means_of_some(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Do as `weighted_means` does, where something is undefined."""
    total, present = np.zeros((2, len(weights), values.shape[2]))
    whole = weights.astype(np.float32)  # small whole numbers, which are counted exactly in half the time
    for of_seed in values:  # one by one: what is at hand stays in the processor's cache
        defined = ~np.isnan(of_seed)
        counts = whole @ defined.astype(np.float32)
        total += (weights @ np.where(defined, of_seed, 0.0)) / np.maximum(counts, 1)  # without a weight 0 / 1
        present += np.minimum(counts, 1)
    return np.divide(total, present, out=np.full(present.shape, np.nan), where=present > 0)


def middle(resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the middle 95 % of each column (percentile bootstrap; Efron 1979).

    Parameters
    ----------
    resampled
        (resamples, columns); NaN is left out.

    Returns
    -------
    tuple
        Lower and upper bounds, (columns,); NaN for a column that is NaN throughout.
    """
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    undefined = np.isnan(resampled)
    bounds = np.full((2, resampled.shape[1]), np.nan)
    whole = ~undefined.any(axis=0)
    if whole.any():
        # Columns one after the other in memory; all are sorted, which is faster than to look for two places.
        bounds[:, whole] = _quantiles(
            np.sort(np.ascontiguousarray(resampled.compress(whole, axis=1).T), axis=1), ends
        )
    for column in np.flatnonzero(~whole & ~undefined.all(axis=0)):
        bounds[:, column] = np.quantile(resampled[~undefined[:, column], column], ends)
    return bounds[0], bounds[1]


def _quantiles(ascending: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles of sorted rows, (shares, rows), between two values as `numpy.quantile` has them."""
    found = np.empty((len(shares), len(ascending)))
    for index, share in enumerate(shares):
        place = share * (ascending.shape[1] - 1)
        below = int(place)
        lower, upper = ascending[:, below], ascending[:, min(below + 1, ascending.shape[1] - 1)]
        part, step = place - below, upper - lower
        found[index] = lower + step * part if part < 0.5 else upper - step * (1 - part)
    return found


def interval(values: np.ndarray) -> tuple[float, float]:
    """Middle 95 % of the mean in 10,000 resamples of the values, (n,), none of them NaN."""
    low, high = middle((draws(len(values)) @ values / len(values))[:, None])
    return float(low[0]), float(high[0])


def signed_rank(values: np.ndarray) -> np.ndarray:
    """Two-sided p-value of Wilcoxon's signed-rank test; zeros are ranked as Pratt (1959) does.

    Parameters
    ----------
    values
        (n,) or (n, columns), none of them NaN.

    Returns
    -------
    numpy.ndarray
        () or (columns,); 1 where all values are zero.
    """
    from scipy.stats import wilcoxon

    columns = values[:, None] if values.ndim == 1 else values
    p = np.ones(columns.shape[1])
    some = np.flatnonzero(columns.any(axis=0))
    if len(columns) <= FEW:
        p[some] = [_exact_signed_rank(columns[:, column]) for column in some]
        return p.reshape(values.shape[1:])
    # Above 50 values SciPy approximates whatever they are; below, how it computes one column depends on the
    # others that it is given.
    for together in [some] if len(columns) > 50 else some[:, None]:
        if len(together):
            p[together] = wilcoxon(columns[:, together], zero_method="pratt", axis=0).pvalue
    return p.reshape(values.shape[1:])


def _exact_signed_rank(values: np.ndarray) -> float:
    """Two-sided p-value over all signs that the values, (n,), could have had, with ties and zeros.

    How many of them come to each sum of positive ranks is counted one rank after the other, in twice the
    ranks, which are whole numbers.
    """
    own = values != 0
    doubled = np.rint(2 * average_ranks(np.abs(values)))[own].astype(int)
    counts = np.ones(1)
    for rank in doubled:
        counts = np.pad(counts, (0, rank)) + np.pad(counts, (rank, 0))
    observed = doubled[values[own] > 0].sum()
    tail = min(counts[: observed + 1].sum(), counts[observed:].sum())
    return float(min(2 * tail / counts.sum(), 1.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, dtype=float)
    corrected = np.full(len(p), np.nan)
    n = np.count_nonzero(~np.isnan(p))
    ascending = np.argsort(p)[:n]  # NaN comes last
    corrected[ascending] = np.minimum(np.maximum.accumulate(np.arange(n, 0, -1) * p[ascending]), 1.0)
    return corrected.tolist()
