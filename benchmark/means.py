"""Cells with a given mean: what a prediction of a mean alone becomes."""

from __future__ import annotations

import numpy as np


def move_to_mean(cells: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Add one number per gene and cut at zero, so that the mean over cells is the given one.

    Parameters
    ----------
    cells
        (cells, genes).
    mean
        (genes,); a negative one is taken as zero.

    Returns
    -------
    numpy.ndarray
        max(cells + s, 0) with mean(max(cells + s, 0)) = max(mean, 0) for each gene. With k cells
        above zero, s = (n mean - sum of the k largest) / k; k is the most for which the k-th stays positive.
    """
    descending = -np.sort(-cells.astype(np.float64), axis=0)
    count = np.arange(1, len(cells) + 1)[:, None]
    moves = (len(cells) * np.maximum(mean, 0) - np.cumsum(descending, axis=0)) / count
    positive = np.maximum((descending + moves > 0).sum(axis=0), 1)
    return np.maximum(cells + moves[positive - 1, np.arange(cells.shape[1])], 0)
