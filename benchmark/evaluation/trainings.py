"""How much a mean over trainings would vary with other trainings, beside other perturbations.

A row with several seeds has a training for each, on a split of its own. Its score y of training s and
perturbation p is taken for m + a(s) + b(p) + e(s, p): the bootstrap over perturbations, each with all that it
scored, knows of b and e, and nothing of a. The variance of a is estimated from perturbations that several
trainings were tested on, by analysis of variance with both effects fitted (Henderson's method 3: Biometrics
1953), and widens the interval; few trainings tell it badly, which the quantile of a t distribution with
Satterthwaite's degrees of freedom (Biometrics Bulletin 1946) allows for.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from benchmark.evaluation.statistics import CONFIDENCE

FEWEST_TRAININGS = 3
"""Two tell next to nothing about how much trainings differ."""


class Widened(NamedTuple):
    """Intervals of means over trainings and perturbations, one for each column.

    Attributes
    ----------
    low, high
        Their bounds.
    share
        Which part of the variance of the mean is that of trainings, 0 to 1; NaN where nothing can be told of
        trainings, see `training_variance`, or there is no interval: the bounds are then as they were.
    freedom
        Degrees of freedom of the variance.
    """

    low: np.ndarray
    high: np.ndarray
    share: np.ndarray
    freedom: np.ndarray


def widened(mean: np.ndarray, low: np.ndarray, high: np.ndarray, values: np.ndarray) -> Widened:
    """Widen intervals over perturbations by what trainings add.

    Parameters
    ----------
    mean, low, high
        (columns,): means over perturbations and trainings, and their intervals over perturbations.
    values
        (trainings, perturbations, columns), NaN where a perturbation was not tested.
    """
    seen = _defined(values)
    count = seen.any(axis=1).sum(axis=0)
    known = (count >= FEWEST_TRAININGS) & np.isfinite(low)
    usual = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_perturbations = ((high - low) / 2 / usual) ** 2
        of_trainings = training_variance(values) / np.maximum(count, 1)
        known &= ~np.isnan(of_trainings)
        total = of_perturbations + of_trainings
        n = seen.any(axis=0).sum(axis=0)
        freedom = total**2 / (of_perturbations**2 / (n - 1) + of_trainings**2 / (count - 1))
        wider = known & (of_trainings > 0)
        freedom = np.where(wider, freedom, np.inf)
        half = _t_quantile(freedom) * np.sqrt(total)
        skew = np.where(high > low, (mean - low) / (high - low), 0.5)
        share = np.where(wider, of_trainings / total, 0.0)
    return Widened(
        np.where(wider, mean - 2 * skew * half, low),
        np.where(wider, mean + 2 * (1 - skew) * half, high),
        np.where(known, share, np.nan),
        freedom,
    )


def training_variance(values: np.ndarray) -> np.ndarray:
    """Estimate the variance of what a training does to all perturbations alike; never below 0.

    Parameters
    ----------
    values
        (trainings, perturbations, columns), NaN where a perturbation was not tested.

    Returns
    -------
    numpy.ndarray
        (columns,): NaN of fewer than `FEWEST_TRAININGS`, and where these have too few perturbations in common
        to be compared.
    """
    own = _defined(values)
    trainings = own.any(axis=1).sum(axis=0)
    seen = own & (own.sum(axis=0) >= 2)  # a perturbation of one training says nothing of trainings
    times = np.maximum(seen.sum(axis=0), 1)
    weights = seen.transpose(2, 0, 1).astype(float)  # (columns, trainings, perturbations)
    links = -(weights / times.T[:, None]) @ weights.transpose(0, 2, 1)
    places = np.arange(len(values))
    links[:, places, places] += weights.sum(axis=2)
    inverse = np.linalg.pinv(links, hermitian=True)
    scores = np.where(seen, values, 0.0)
    centred = np.where(seen, scores - scores.sum(axis=0) / times, 0.0)
    effects = (inverse @ centred.sum(axis=1).T[..., None])[..., 0].T  # (trainings, columns)
    left = np.where(seen, scores - effects[:, None], 0.0)
    left = np.where(seen, left - left.sum(axis=0) / times, 0.0)
    freedom = seen.sum(axis=(0, 1)) - seen.any(axis=0).sum(axis=0) - (trainings - 1)
    noise = (left**2).sum(axis=(0, 1)) / np.maximum(freedom, 1)
    there = own.any(axis=1)
    mean = np.where(there, effects, 0.0).sum(axis=0) / np.maximum(trainings, 1)
    spread = np.where(there, (effects - mean) ** 2, 0.0).sum(axis=0)
    spread -= noise * np.trace(inverse, axis1=1, axis2=2)
    linked = np.linalg.matrix_rank(links, hermitian=True) >= trainings - 1
    usable = (trainings >= FEWEST_TRAININGS) & linked
    return np.where(usable, np.maximum(spread / np.maximum(trainings - 1, 1), 0.0), np.nan)


def _defined(values: np.ndarray) -> np.ndarray:
    """Where values are defined; as a rule that is alike in all columns, and then there is one for all."""
    defined = ~np.isnan(values)
    return defined[..., :1] if (defined == defined[..., :1]).all() else defined


def two_sided(mean: np.ndarray, found: Widened) -> np.ndarray:
    """P-values of means of 0, by the t distributions of their intervals; NaN where there is none."""
    from scipy.special import stdtr

    half = (found.high - found.low) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * stdtr(found.freedom, -np.abs(mean) / half * _t_quantile(found.freedom))
    p = np.where(half == 0, np.where(mean == 0, 1.0, 0.0), p)
    return np.where(np.isnan(found.share), np.nan, p)


def _t_quantile(freedom: np.ndarray) -> np.ndarray:
    usual = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    finite = np.isfinite(freedom)
    if not finite.any():  # a single run is shown without waiting for scipy
        return np.full(freedom.shape, usual)
    from scipy.special import stdtrit

    return np.where(finite, stdtrit(np.where(finite, freedom, 1.0), (1 + CONFIDENCE) / 2), usual)
