"""Differential expression of the cells of one perturbation against the control cells.

The rank-sum test has a kernel of its own because the control cells are the same for every perturbation, real
and predicted: sorted once, each test is one merge of two sorted rows. `illico` and `pdex` compute the same
numbers but sort or rank the control cells again at each call, which predictions that arrive one perturbation
at a time would pay for each time; `illico` also writes progress bars and logs to stderr by itself, and `pdex`
brings polars. The kernel compiles in about a second, so it is not cached on disk.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy.special import erfc
from scipy.stats import false_discovery_control

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.reference import Reference
from benchmark.evaluation.metrics.response import RESOLUTION, Response
from benchmark.evaluation.metrics.sorted_cells import Matrix, SortedCells

PSEUDOCOUNT = 1e-9  # pdex's default: makes fold changes from or to zero finite and changes no other order


def differential_expression(
    reference: Reference,
    label: str,
    cells: Matrix,
    name: str = "The cells",
    control: SortedCells | None = None,
) -> Response:
    """Compare the cells of one perturbation with the control cells, gene by gene.

    The test is the Wilcoxon rank-sum test with the normal approximation, corrected for ties and continuity,
    then Benjamini and Hochberg (1995) over the genes of this perturbation, as cell-eval does through pdex.
    The fold change is log2((m + 1e-9) / (c + 1e-9)) with m and c the mean counts per 10,000 of `cells` and
    of the control cells. A gene with m = c = 0 has the fold change 0; a gene that is expressed on one side
    only has a finite one of about +-30, before all others and ordered by the mean of that side. (cell-eval
    0.8 ratios geometric means, expm1 of the mean log value, by default, and its one-sided genes are infinite
    and tied.)

    Parameters
    ----------
    reference
        What the response is measured against.
    label
        The perturbation.
    cells
        (cells, genes), log1p of counts per 10,000, dense or sparse.
    name
        What the cells are called in an error.
    control
        The control cells of this side; those of the real one unless said.

    Raises
    ------
    BenchmarkError
        When the gene counts differ, or as `SortedCells.of` does.
    """
    control, n_genes = control or reference.control, len(reference.genes)
    if cells.ndim == 2 and cells.shape[1] != n_genes:
        raise BenchmarkError(
            f"{name} have {cells.shape[1]} genes, but the control cells have {n_genes}; "
            "give both the same genes in the same order."
        )
    perturbed = SortedCells.of(cells, name)
    p_value = rank_sum_p_values(control.values, perturbed.values)
    return Response(
        label=label,
        reference=reference,
        control=control,
        cells=np.asarray(cells if isinstance(cells, np.ndarray) else cells.toarray(), dtype=np.float32),
        ascending=perturbed.values,
        mean=perturbed.mean,
        variance=perturbed.variance,
        change=_change(perturbed.mean, control),
        log2_fold_change=np.log2((perturbed.count_mean + PSEUDOCOUNT) / (control.count_mean + PSEUDOCOUNT)),
        p_value=p_value,
        fdr=false_discovery_control(p_value),
    )


def response_of_mean(reference: Reference, label: str, mean: np.ndarray) -> Response:
    """Make the predicted response of which nothing but the mean is known: for metrics that read no more.

    Parameters
    ----------
    reference
        What the response is measured against.
    label
        The perturbation.
    mean
        float64, (genes,): log1p of counts per 10,000.
    """
    control, nothing = reference.given, np.zeros(len(mean))
    cells = mean[None].astype(np.float32)
    return Response(
        label=label,
        reference=reference,
        control=control,
        cells=cells,
        ascending=cells.T,
        mean=mean,
        variance=nothing,
        change=_change(mean, control),
        log2_fold_change=nothing,
        p_value=np.ones(len(mean)),
        fdr=np.ones(len(mean)),
    )


def _change(mean: np.ndarray, control: SortedCells) -> np.ndarray:
    change = mean - control.mean
    change[np.abs(change) < RESOLUTION] = 0.0
    return change


def fdr(control: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """False discovery rates (Benjamini and Hochberg 1995) over the genes of `rank_sum_p_values`."""
    return false_discovery_control(rank_sum_p_values(control, cells))


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
