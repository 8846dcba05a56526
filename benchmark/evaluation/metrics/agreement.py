"""How well two vectors over genes agree: what the metrics of means share.

A side that says nothing is treated alike everywhere. Where the real vector has no direction nothing can be
right and the value is NaN; where only the predicted one has none the value is 0, because it says nothing
about any gene and dropping it would reward it.
"""

from __future__ import annotations

import numpy as np


def mean_square(real: np.ndarray, predicted: np.ndarray) -> float:
    """Mean squared difference; NaN over no genes.

    Parameters
    ----------
    real, predicted
        float64, (genes,).
    """
    return float(np.mean((predicted - real) ** 2)) if len(real) else float("nan")


def correlation(real: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson correlation; NaN for fewer than 2 genes or a constant real vector, 0 for a constant guess.

    Parameters
    ----------
    real, predicted
        float64, (genes,).
    """
    if len(real) < 2 or np.ptp(real) == 0:
        return float("nan")
    if np.ptp(predicted) == 0:
        return 0.0
    return cosine(real - real.mean(), predicted - predicted.mean())


def cosine(real: np.ndarray, predicted: np.ndarray) -> float:
    """Cosine of the angle between the two; NaN where the real vector is all 0, 0 where the guess is.

    Parameters
    ----------
    real, predicted
        float64, (genes,).
    """
    lengths = np.linalg.norm(real), np.linalg.norm(predicted)
    if lengths[0] == 0:
        return float("nan")
    if lengths[1] == 0:
        return 0.0
    return float(np.clip(real / lengths[0] @ (predicted / lengths[1]), -1.0, 1.0))
