"""Genes that vary most among control cells, so that no cell of a test perturbation has a say."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy.sparse import csr_matrix

from benchmark.data.blocks import moments
from benchmark.errors import BenchmarkError

BINS = 20


def variable_genes(
    cells: csr_matrix, names: Collection[str], number: int, also: Collection[str]
) -> np.ndarray:
    """Choose the genes that vary most for their mean.

    Genes are divided into bins of equally many by their mean; a gene's score is its log dispersion (variance
    by mean, of the values without logarithm) as deviations from the mean of its bin (Satija et al., Nature
    Biotechnology 33, 495 (2015)).

    Parameters
    ----------
    cells
        (cells, genes), log1p of counts per 10,000.
    names
        Of the genes.
    number
        How many are chosen.
    also
        Genes that are kept besides, where they are measured.

    Returns
    -------
    numpy.ndarray
        Columns, ascending.
    """
    if number < 1:
        raise BenchmarkError(f"At least 1 variable gene must be asked for, not {number}.")
    linear = cells.astype(np.float64)
    linear.data = np.expm1(linear.data)
    mean, variance = moments(linear)
    varies = (mean > 0) & (variance > 0)
    score = np.full(len(mean), -np.inf)
    dispersion = np.log(variance[varies] / mean[varies])
    score[varies] = _within_bins(dispersion, np.log1p(mean[varies]))
    chosen = np.zeros(len(mean), dtype=bool)
    best = np.argsort(-score, kind="stable")[:number]
    chosen[best[np.isfinite(score[best])]] = True
    chosen |= np.isin(np.array(list(names), dtype=object), list(also))
    return np.flatnonzero(chosen)


def _within_bins(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Deviations from the mean of the bin, in standard deviations of the bin."""
    order = np.argsort(by, kind="stable")
    scored = np.empty_like(values)
    for part in np.array_split(order, max(1, min(BINS, len(values) // 3))):
        spread = values[part].std(ddof=1) if len(part) > 1 else 0.0
        scored[part] = (values[part] - values[part].mean()) / (spread or 1.0)
    return scored
