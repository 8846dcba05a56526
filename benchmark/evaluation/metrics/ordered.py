"""What is said of values by their order: ranks, false discovery rates, areas under curves.

SciPy and scikit-learn have the same, with a second of imports and a check of their input at each of the many
thousand calls; the tests compare them.
"""

from __future__ import annotations

import numpy as np


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, of equal values their mean, float64, (n,)."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def false_discovery_rates(p_values: np.ndarray) -> np.ndarray:
    """Adjusted p-values of Benjamini and Hochberg (1995), (n,)."""
    n = len(p_values)
    order = np.argsort(p_values)
    rates = np.empty(n)
    rates[order] = np.minimum.accumulate((p_values[order] * (n / np.arange(1, n + 1)))[::-1])[::-1]
    return np.clip(rates, 0, 1)


def average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the positives of the share of positives among what scores as high as each, or higher.

    Parameters
    ----------
    positive
        bool, (n,), one of them at least.
    scores
        (n,), none of them NaN.
    """
    found, down_to = _down_to_each_score(positive, scores)
    return float(np.diff(found, prepend=0) @ (found / down_to) / found[-1])


def roc_area(positive: np.ndarray, scores: np.ndarray) -> float:
    """Chance that a positive scores above another, where equal scores count a half; by ranks.

    Parameters
    ----------
    positive
        bool, (n,), of both kinds one at least.
    scores
        (n,), none of them NaN.
    """
    n, others = int(positive.sum()), int((~positive).sum())
    return float((average_ranks(scores)[positive].sum() - n * (n + 1) / 2) / (n * others))


def _down_to_each_score(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many positives, and how many in all, have each of the different scores at least, highest first."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    return np.cumsum(positive[order])[last], last + 1
