"""The rank-sum test of many genes at once, on cells that are sorted.

It has a kernel of its own because the control cells are the same for every perturbation, real and predicted:
sorted once, each test is one merge of two sorted rows. `illico` and `pdex` compute the same numbers but sort
or rank the control cells again at each call, which predictions that arrive one perturbation at a time would
pay for each time; `illico` also writes progress bars and logs to stderr by itself, and `pdex` brings polars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from scipy.special import erfc

from benchmark.evaluation.metrics.ordered import false_discovery_rates


def compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel at its first call; it is kept where numba can keep it, as beside byte code."""
    try:
        return numba.njit(nogil=True, cache=True)(kernel)
    except RuntimeError:  # nothing can be written anywhere: each process compiles for itself
        return numba.njit(nogil=True)(kernel)


def fdr(control: np.ndarray, cells: np.ndarray, ties: np.ndarray | None = None) -> np.ndarray:
    """False discovery rates (Benjamini and Hochberg 1995) over the genes of `rank_sum_p_values`."""
    return false_discovery_rates(rank_sum_p_values(control, cells, ties))


def rank_sum_p_values(control: np.ndarray, cells: np.ndarray, ties: np.ndarray | None = None) -> np.ndarray:
    """Two-sided p-values of the rank-sum test, normal approximation, corrected for ties and continuity.

    Mann and Whitney (1947); the tie correction is that of Lehmann, "Nonparametrics" (1975), chapter 1. The
    same numbers as ``scipy.stats.mannwhitneyu(method="asymptotic")`` and as cell-eval's; a gene with one
    value in all cells has p = 1.

    Parameters
    ----------
    control
        float32, (genes, control cells), C-contiguous, every row ascending, nothing below 0.
    cells
        float32, (genes, cells), C-contiguous, every row ascending, nothing below 0.
    ties
        `tie_terms` of the control cells, where it is at hand.

    Returns
    -------
    numpy.ndarray
        float64, (genes,).
    """
    n_control, n_cells = control.shape[1], cells.shape[1]
    n = n_control + n_cells
    rank_sum, tie_term = _merge(control, cells)
    tie_term += (tie_terms(control) if ties is None else ties) + tie_terms(cells)
    distance = np.abs(rank_sum - n_cells * (n + 1) / 2)
    variance = n_control * n_cells / 12 * (n + 1 - tie_term / (n * (n - 1)))
    spread = np.sqrt(variance)
    z = np.divide(distance - 0.5, spread, out=np.zeros_like(spread), where=spread > 0)
    return np.minimum(erfc(z / np.sqrt(2)), 1.0)


@compiled
def _zeros(ascending: np.ndarray) -> int:
    """How many values of an ascending row are 0 or less: most, so that they are counted by bisection."""
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] <= 0:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def tie_terms(ascending: np.ndarray) -> np.ndarray:
    """Sum of t^3 - t over each t equal values of a row: float64, (genes,); float32 rows, each ascending."""
    n_genes, n = ascending.shape
    terms = np.zeros(n_genes)
    for gene in range(n_genes):
        first = _zeros(ascending[gene])
        terms[gene] = _cube(first)
        tied = 1
        for cell in range(first + 1, n):
            if ascending[gene, cell] == ascending[gene, cell - 1]:
                tied += 1
            elif tied > 1:
                terms[gene] += _cube(tied)
                tied = 1
        terms[gene] += _cube(tied)
    return terms


@compiled
def _cube(tied: int) -> float:
    return float(tied) * tied * tied - tied


@compiled
def _merge(control: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per gene: the sum of the mid-ranks of `cells` among all, and what ties across the sides add.

    Ties within one side do not change the sum of its ranks, so that only values on both sides are looked at
    together. Which of two values is less nobody can guess, a processor neither, so that this is added and not
    branched on; and it is asked from both ends by turns, so that one answer need not wait for the other.
    """
    n_genes, n_control = control.shape
    n_cells = cells.shape[1]
    rank_sum = np.zeros(n_genes)
    tie_term = np.zeros(n_genes)
    for gene in range(n_genes):
        row, other = control[gene], cells[gene]
        i, j = _zeros(row), _zeros(other)  # what is left begins here
        k, m = n_control, n_cells  # and ends before here
        twice = j * (i + j + 1)  # twice the ranks, which are whole or half
        crossed = _cube(i + j) - _cube(i) - _cube(j)
        while i < k and j < m:
            if row[i] == other[j]:
                value, first, second = row[i], i, j
                while i < k and row[i] == value:
                    i += 1
                while j < m and other[j] == value:
                    j += 1
                twice += (j - second) * (first + second + i + j + 1)
                crossed += _cube(i - first + j - second) - _cube(i - first) - _cube(j - second)
            else:
                is_less = int(row[i] < other[j])
                twice += (1 - is_less) * 2 * (i + j + 1)
                i += is_less
                j += 1 - is_less
            if i < k and j < m and row[k - 1] != other[m - 1]:
                is_more = int(row[k - 1] > other[m - 1])
                twice += (1 - is_more) * 2 * (k + m)
                k -= is_more
                m -= 1 - is_more
        twice += (m - j) * (i + j + k + m + 1) if j < m else 0
        rank_sum[gene], tie_term[gene] = twice / 2, crossed
    return rank_sum, tie_term
