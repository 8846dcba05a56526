"""Metrics of how the two singles share in a double: change(A+B) ~ c1 change(A) + c2 change(B).

Norman et al. (Science 2019) describe an interaction by this fit, GEARS (Nature Biotechnology 2023) judges
predictions by it: magnitude sqrt(c1^2 + c2^2), dominance |log10(c1 / c2)|. A is the gene that comes first in
the alphabet. The singles are real on both sides.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.evaluation.metrics.interaction import GENES, NO_DOUBLE, REFERENCE, double_of
from benchmark.evaluation.metrics.once import once_per_pair
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.spec import MetricSpec, metric

NEIGHBOURS = 50
PARALLEL = 1e-9  # the sine of the angle of two genes whose equations are taken for one
LEAST = 0.01
STEPS = 100
TOLERANCE = 1e-9
ROUNDING = 1e-13  # of the median: so short a step gains nothing that can be told
NEWTON_STEPS = 30
HALVINGS = 30

FIT = (
    "change(A+B) ~ c1 change(A) + c2 change(B), A first in the alphabet, change = mean of log1p values minus "
    "that of the control cells; Theil-Sen without intercept: the spatial median of the (c1, c2) that pairs "
    f"of genes give, each gene with the {NEIGHBOURS} that follow by control expression (GEARS: 100,000 "
    "pairs by chance)"
)


def _spec(name: str, formula: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="1",
        family="interaction",
        formula=f"|{formula} of the predicted - that of the real double|, {FIT}",
        range=(0.0, math.inf),
        higher_is_better=False,
        gene_set=GENES,
        reference=REFERENCE,
        nan_means=f"{NO_DOUBLE}, or no pair of genes in which the singles change in different proportions",
    )


@metric(_spec("gi_c1_error", "c1"))
def gi_c1_error(real: Response, predicted: Response) -> float:
    """Error of the share of the single that comes first in the alphabet."""
    truth, guess = shares_of_singles(real, predicted)
    return abs(float(guess[0] - truth[0]))


@metric(_spec("gi_c2_error", "c2"))
def gi_c2_error(real: Response, predicted: Response) -> float:
    """Error of the share of the single that comes second in the alphabet."""
    truth, guess = shares_of_singles(real, predicted)
    return abs(float(guess[1] - truth[1]))


@metric(_spec("gi_magnitude_error", "magnitude sqrt(c1^2 + c2^2)"))
def gi_magnitude_error(real: Response, predicted: Response) -> float:
    """Error of how strongly the singles act in the double: sqrt(2) where they add up, more for synergy."""
    truth, guess = shares_of_singles(real, predicted)
    return abs(magnitude(guess) - magnitude(truth))


@metric(
    _spec(
        "gi_dominance_error",
        f"dominance |log10(|c1| / |c2|)|, |c1| and |c2| at least {LEAST} (in GEARS undefined where the signs "
        "differ, which would leave the worst guesses out)",
    )
)
def gi_dominance_error(real: Response, predicted: Response) -> float:
    """Error of how unequally the singles share, whichever of them has more."""
    truth, guess = shares_of_singles(real, predicted)
    return abs(dominance(guess) - dominance(truth))


def magnitude(shares: np.ndarray) -> float:
    """How strongly the singles act, of (c1, c2)."""
    return math.hypot(*shares)


def dominance(shares: np.ndarray) -> float:
    """How unequally the singles share, of (c1, c2)."""
    first, second = np.maximum(np.abs(shares), LEAST)
    return abs(float(np.log10(first / second)))


@once_per_pair
def shares_of_singles(real: Response, predicted: Response) -> tuple[np.ndarray, np.ndarray]:
    """(c1, c2) of the real and of the predicted double; NaN where they are not defined."""
    double = double_of(real, predicted)
    if double is None:
        return np.full(2, np.nan), np.full(2, np.nan)
    of_real = real.kept.get("shares", lambda: theil_sen(double.singles, double.real))
    return of_real, theil_sen(double.known_singles, double.predicted)


def theil_sen(singles: np.ndarray, double: np.ndarray) -> np.ndarray:
    """Fit double ~ c1 singles[0] + c2 singles[1] robustly, without intercept.

    The estimator of Dang, Peng, Wang and Zhang (2009), which scikit-learn's TheilSenRegressor implements for
    any number of variables. That one takes 2 seconds for 100,000 pairs of genes because it solves each pair
    by itself and draws the pairs at random; two equations are solved by Cramer's rule for all pairs at once,
    and pairs of neighbours in a given order take part equally and need no seed.

    Parameters
    ----------
    singles
        float64, (2, genes).
    double
        float64, (genes,).

    Returns
    -------
    numpy.ndarray
        float64, (2,): c1 and c2; NaN where no pair of genes determines them.
    """
    n = len(double)
    gaps = range(1, min(NEIGHBOURS, n - 1) + 1)
    if not gaps:
        return np.full(2, np.nan)
    first = np.concatenate([np.arange(n - gap) for gap in gaps])
    second = np.concatenate([np.arange(gap, n) for gap in gaps])
    a, b = singles
    determinant = a[first] * b[second] - a[second] * b[first]
    lengths = np.hypot(a, b)
    independent = np.abs(determinant) > PARALLEL * lengths[first] * lengths[second]
    if not independent.any():
        return np.full(2, np.nan)
    first, second = first[independent], second[independent]
    numerators = np.stack(
        [
            double[first] * b[second] - double[second] * b[first],
            a[first] * double[second] - a[second] * double[first],
        ]
    )
    return spatial_median(numerators / determinant[independent])


def spatial_median(points: np.ndarray) -> np.ndarray:
    """Find the point whose sum of distances to all points is least.

    The algorithm of Weiszfeld as Vardi and Zhang (PNAS 2000) mended it for a step that ends on a point.

    Parameters
    ----------
    points
        float64, (dimensions, points).

    Returns
    -------
    numpy.ndarray
        float64, (dimensions,).
    """
    median = np.median(points, axis=1)
    for _ in range(STEPS):
        away = points - median[:, None]
        distance = np.sqrt(np.einsum("dp,dp->p", away, away))
        elsewhere = distance > 0
        weights = np.divide(1, distance, out=np.zeros_like(distance), where=elsewhere)
        if not elsewhere.any():
            break
        pull = away @ weights
        here = len(distance) - np.count_nonzero(elsewhere)
        freed = max(0.0, 1 - here / max(float(np.linalg.norm(pull)), np.finfo(float).tiny))
        step = freed * pull / weights.sum()
        median = median + step
        if np.abs(step).max() <= TOLERANCE * max(np.abs(median).max(), len(distance) / weights.sum()):
            break
    # Towards one of the points that is itself the median, steps grow ever shorter, and end before it.
    nearest = points[:, np.argmin(np.linalg.norm(points - median[:, None], axis=0))]
    return min(_descended(points, median), nearest, key=lambda point: _total(points, point))


def _descended(points: np.ndarray, median: np.ndarray) -> np.ndarray:
    """Go on by Newton's steps, halved until they gain: among points nearly on a line, other steps creep."""
    least = _total(points, median)
    for _ in range(NEWTON_STEPS):
        away = points - median[:, None]
        distance = np.linalg.norm(away, axis=0)
        if not distance.all():
            break
        units = away / distance
        curvature = np.eye(len(points)) * (1 / distance).sum() - (units / distance) @ units.T
        step = np.linalg.lstsq(curvature, units.sum(axis=1), rcond=None)[0]
        if np.abs(step).max() <= ROUNDING * np.abs(median).max():
            break
        tried = ((median + step / 2**halved) for halved in range(HALVINGS))
        better = next((point for point in tried if _total(points, point) < least), None)
        if better is None:
            break
        median, least = better, _total(points, better)
    return median


def _total(points: np.ndarray, point: np.ndarray) -> float:
    """Sum of the distances of all points to one."""
    away = points - point[:, None]
    return float(np.sqrt(np.einsum("dp,dp->p", away, away)).sum())
