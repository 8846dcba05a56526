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
    seen = ~np.isnan(values)
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
    found = np.empty(values.shape[2])
    seen = ~np.isnan(values)
    alike: dict[bytes, list[int]] = {}
    for column in range(values.shape[2]):
        alike.setdefault(seen[..., column].tobytes(), []).append(column)
    for columns in alike.values():
        found[columns] = _training_variance(values[..., columns], seen[..., columns[0]])
    return found


def _training_variance(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Do so for columns in which the same perturbations, (trainings, perturbations), were tested."""
    own, repeated = seen.any(axis=1), seen.sum(axis=0) >= 2
    seen = seen[own][:, repeated]
    trainings, times = len(seen), seen.sum(axis=0)
    links = np.diag(seen.sum(axis=1).astype(float)) - (seen / np.maximum(times, 1)) @ seen.T
    if trainings < FEWEST_TRAININGS or not seen.size or np.linalg.matrix_rank(links) < trainings - 1:
        return np.full(values.shape[2], np.nan)
    there, times = seen[..., None], times[:, None]
    scores = np.where(there, values[own][:, repeated], 0.0)
    centred = np.where(there, scores - scores.sum(axis=0) / times, 0.0)
    inverse = np.linalg.pinv(links)
    effects = inverse @ centred.sum(axis=1)
    left = np.where(there, scores - effects[:, None], 0.0)
    left = np.where(there, left - left.sum(axis=0) / times, 0.0)
    freedom = seen.sum() - seen.shape[1] - (trainings - 1)
    noise = (left**2).sum(axis=(0, 1)) / max(freedom, 1)
    spread = ((effects - effects.mean(axis=0)) ** 2).sum(axis=0) - noise * np.trace(inverse)
    return np.maximum(spread / (trainings - 1), 0.0)


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
