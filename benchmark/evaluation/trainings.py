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
    """Interval of a mean over trainings and perturbations.

    Attributes
    ----------
    low, high
        Its bounds.
    share
        Which part of the variance of the mean is that of trainings, 0 to 1.
    freedom
        Degrees of freedom of the variance.
    """

    low: float
    high: float
    share: float
    freedom: float


def widened(mean: float, low: float, high: float, values: np.ndarray) -> Widened | None:
    """Widen an interval over perturbations by what trainings add.

    Parameters
    ----------
    mean, low, high
        A mean over perturbations and trainings, and its interval over perturbations.
    values
        (trainings, perturbations), NaN where a perturbation was not tested.

    Returns
    -------
    Widened
        None of fewer than `FEWEST_TRAININGS` trainings, or without an interval.
    """
    values = values[~np.isnan(values).all(axis=1)]
    count = len(values)
    if count < FEWEST_TRAININGS or not np.isfinite(low):
        return None
    usual = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    of_perturbations = ((high - low) / 2 / usual) ** 2
    of_trainings = training_variance(values) / count
    total = of_perturbations + of_trainings
    if of_trainings == 0:
        return Widened(low, high, 0.0, np.inf)
    n = int((~np.isnan(values)).any(axis=0).sum())
    freedom = total**2 / (of_perturbations**2 / (n - 1) + of_trainings**2 / (count - 1))
    half = _t_quantile(freedom) * np.sqrt(total)
    skew = (mean - low) / (high - low) if high > low else 0.5
    return Widened(mean - 2 * skew * half, mean + 2 * (1 - skew) * half, of_trainings / total, freedom)


def training_variance(values: np.ndarray) -> float:
    """Estimate the variance of what a training does to all perturbations alike; never below 0.

    Parameters
    ----------
    values
        (trainings, perturbations), NaN where a perturbation was not tested.

    Returns
    -------
    float
        0 where no perturbations link the trainings, so that nothing can be told.
    """
    seen = ~np.isnan(values)
    repeated = seen.sum(axis=0) >= 2
    seen, scores = seen[:, repeated], np.where(seen, values, 0.0)[:, repeated]
    times = seen.sum(axis=0)
    trainings = len(values)
    links = np.diag(seen.sum(axis=1).astype(float)) - (seen / np.maximum(times, 1)) @ seen.T
    if not seen.size or np.linalg.matrix_rank(links) < trainings - 1:
        return 0.0
    centred = np.where(seen, scores - scores.sum(axis=0) / times, 0.0)
    inverse = np.linalg.pinv(links)
    effects = inverse @ centred.sum(axis=1)
    left = np.where(seen, scores - effects[:, None], 0.0)
    left = np.where(seen, left - left.sum(axis=0) / times, 0.0)
    freedom = seen.sum() - seen.shape[1] - (trainings - 1)
    noise = (left**2).sum() / freedom if freedom > 0 else 0.0
    spread = ((effects - effects.mean()) ** 2).sum() - noise * np.trace(inverse)
    return max(float(spread) / (trainings - 1), 0.0)


def two_sided(mean: float, found: Widened) -> float:
    """P-value of a mean of 0, by the t distribution of its interval."""
    from scipy.stats import t

    half = (found.high - found.low) / 2
    if half == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / half * _t_quantile(found.freedom), found.freedom))


def _t_quantile(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))
