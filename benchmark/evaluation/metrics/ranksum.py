"""The Wilcoxon rank-sum test of every gene at once, on values that are sorted already.

Own kernel because the control cells are the same for every perturbation, real and predicted: sorted once,
each test is one merge of two sorted rows. `illico` and `pdex` compute the same numbers but sort or rank the
control cells again at each call, which predictions that arrive one perturbation at a time would pay for each
time; `illico` also writes progress bars and logs to stderr by itself, and `pdex` brings polars. The kernel
compiles in about a second, so it is not cached on disk.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy.special import erfc


def rank_sum_p_values(control: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Two-sided p-values of the rank-sum test, normal approximation, corrected for ties and continuity.

    Mann and Whitney (1947); the tie correction is that of Lehmann, "Nonparametrics" (1975), chapter 1. The
    same numbers as ``scipy.stats.mannwhitneyu(method="asymptotic")`` and as cell-eval's; a gene with one
    value in all cells has p = 1.

    Parameters
    ----------
    control
        float32, (genes, control cells), C-contiguous, every row ascending.
    cells
        float32, (genes, cells), C-contiguous, every row ascending.

    Returns
    -------
    numpy.ndarray
        float64, (genes,).
    """
    n_control, n_cells = control.shape[1], cells.shape[1]
    n = n_control + n_cells
    rank_sum, tie_term = _merge(control, cells)
    distance = np.abs(rank_sum - n_cells * (n + 1) / 2)
    variance = n_control * n_cells / 12 * (n + 1 - tie_term / (n * (n - 1)))
    spread = np.sqrt(variance)
    z = np.divide(distance - 0.5, spread, out=np.zeros_like(spread), where=spread > 0)
    return np.minimum(erfc(z / np.sqrt(2)), 1.0)


@numba.njit(nogil=True)
def _merge(control: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per gene: the sum of the mid-ranks of `cells` among all, and of t^3 - t over each t equal values."""
    n_genes, n_control = control.shape
    n_cells = cells.shape[1]
    rank_sum = np.zeros(n_genes)
    tie_term = np.zeros(n_genes)
    for gene in range(n_genes):
        i = j = 0
        while i < n_control or j < n_cells:
            if j == n_cells or (i < n_control and control[gene, i] < cells[gene, j]):
                value = control[gene, i]
            else:
                value = cells[gene, j]
            before, first = i + j, j
            while i < n_control and control[gene, i] == value:
                i += 1
            while j < n_cells and cells[gene, j] == value:
                j += 1
            tied = float(i + j - before)
            rank_sum[gene] += (j - first) * (before + (tied + 1) / 2)
            tie_term[gene] += tied * tied * tied - tied
    return rank_sum, tie_term
