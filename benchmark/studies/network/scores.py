"""Scores of a ranking against what is true: pure functions, all of them blind to the order of genes.

Precision and recall as in BEELINE (Pratapa, Jalihal, Law, Bharadwaj and Murali, Nature Methods 17, 147,
2020): the area under the precision-recall curve, and the early precision. Two details differ. The area is
the average precision, which does not interpolate between points of the curve (a line between them is too
optimistic: Davis and Goadrich, ICML 2006). And a ranking is compared with the exact expectation of a random
one, which for average precision lies above the share of true entries where there are few.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma
from sklearn.metrics import average_precision_score

BLOCK = 100


def average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the precision-recall curve: sum over thresholds of (R_n - R_(n-1)) P_n.

    Equal scores pass a threshold together.

    Parameters
    ----------
    truth
        bool, (entries,).
    score
        float, (entries,): the greater, the earlier in the ranking.

    Returns
    -------
    float
        NaN where nothing is true.
    """
    return float(average_precision_score(truth, score)) if truth.any() else float("nan")


def expected_average_precision(positives: np.ndarray | float, total: int) -> np.ndarray:
    """Average precision that a random ranking has on average.

    (H_N + (n - 1) (N - H_N) / (N - 1)) / N for n true among N entries, with H_N = 1 + 1/2 + ... + 1/N: the
    mean over ranks i of the expected precision there if the entry of rank i is true. BEELINE divides by
    n / N, which this tends to for large N and exceeds for small (Bestgen, Prague Bulletin of Mathematical
    Linguistics 103, 131, 2015).

    Parameters
    ----------
    positives
        How many entries are true, any shape.
    total
        How many there are.
    """
    harmonic = digamma(total + 1) + np.euler_gamma
    later = (np.asarray(positives, dtype=float) - 1) / max(total - 1, 1)
    return (harmonic + later * (total - harmonic)) / total


def early_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Share of true entries among the first k of the ranking, k = how many are true (BEELINE).

    Of the entries that tie for the last places, as many count as there are places, each as the mean of
    those that tie: what a random order among them gives on average. A random ranking has n / N.

    Parameters
    ----------
    truth
        bool, (entries,).
    score
        float, (entries,).

    Returns
    -------
    float
        NaN where nothing is true.
    """
    k = int(truth.sum())
    if k == 0:
        return float("nan")
    last = np.partition(score, -k)[-k]
    above, tied = score > last, score == last
    places = k - int(above.sum())
    return float((truth[above].sum() + places * truth[tied].mean()) / k)


def resampled_average_precision(
    truth: np.ndarray, score: np.ndarray, candidate: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Average precision over all entries of a table, when its columns count several times or not at all.

    It is the weighted mean, over true entries, of the precision among all entries that score at least as
    much: `average_precision` with the weight of its column for each entry, without sorting again for each
    resample.

    Parameters
    ----------
    truth
        bool, (rows, columns): true only where `candidate` is.
    score
        float, (rows, columns).
    candidate
        bool, (rows, columns): which entries are ranked.
    weights
        How often each column counts, (resamples, columns).

    Returns
    -------
    numpy.ndarray
        (resamples,); NaN where no true entry counts.
    """
    row, column = np.nonzero(truth)
    threshold = score[row, column]
    ranked = _at_least(score, candidate, threshold)
    right = _at_least(score, truth, threshold)
    result = [
        _weighted_precision(part[:, column], part @ right, part @ ranked)
        for part in np.array_split(weights.astype(float), max(1, len(weights) // BLOCK))
    ]
    return np.concatenate(result)


def _at_least(score: np.ndarray, chosen: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Count the chosen entries of each column that reach each threshold, (columns, thresholds)."""
    columns = [np.sort(values[mask]) for values, mask in zip(score.T, chosen.T, strict=True)]
    return np.stack([len(values) - np.searchsorted(values, threshold) for values in columns]).astype(float)


def _weighted_precision(weight: np.ndarray, right: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    precision = np.divide(right, ranked, out=np.zeros_like(right), where=ranked > 0)
    total = weight.sum(axis=1)
    return np.divide(
        (weight * precision).sum(axis=1), total, out=np.full(total.shape, np.nan), where=total > 0
    )
