"""Differential expression of the cells of one perturbation against the control cells."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numba
import numpy as np
from scipy import sparse
from scipy.stats import false_discovery_control

from benchmark.errors import BenchmarkError
from benchmark.metrics.ranksum import rank_sum_p_values
from benchmark.metrics.response import Response

Matrix: TypeAlias = np.ndarray | sparse.spmatrix | sparse.sparray

PSEUDOCOUNT = 1e-9  # pdex's default: makes fold changes from or to zero finite and changes no other order
LARGEST_LOG_VALUE = 15.0  # log1p(1e4) = 9.2 is the most a cell can hold; above 15 cell-eval refuses too
GENES_PER_CHUNK = 512  # fixed, so that results do not depend on the number of threads


@dataclass(frozen=True, eq=False)
class SortedCells:
    """Cells of one condition, each gene sorted by itself, so that sums are exact under any cell order.

    Attributes
    ----------
    values
        float32, (genes, cells), every row ascending.
    mean
        float64, (genes,): mean of log1p of counts per 10,000.
    variance
        float64, (genes,): variance of log1p of counts per 10,000, divisor cells - 1.
    count_mean
        float64, (genes,): mean of counts per 10,000.
    """

    values: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    count_mean: np.ndarray

    @classmethod
    def of(cls, cells: Matrix, name: str = "The cells") -> SortedCells:
        """Sort cells and take their means and variances.

        Parameters
        ----------
        cells
            (cells, genes), log1p of counts per 10,000; taken as float32.
        name
            What the cells are called in an error.

        Raises
        ------
        BenchmarkError
            For fewer than 2 cells, and for values that are NaN, infinite, negative or not on the log scale.
        """
        if cells.ndim != 2 or cells.shape[0] < 2 or cells.shape[1] < 1:
            raise BenchmarkError(
                f"{name} have the shape {tuple(cells.shape)}, but at least 2 cells by 1 gene are needed; "
                "leave the perturbation out or give it more cells."
            )
        values = _genes_first(cells)
        mean, variance, count_mean = (np.empty(values.shape[0]) for _ in range(3))

        def summarise(genes: slice) -> None:
            part = values[genes]
            part.sort(axis=1)
            _check(part, name)
            mean[genes] = part.mean(axis=1, dtype=np.float64)
            variance[genes] = part.var(axis=1, dtype=np.float64, ddof=1)
            count_mean[genes] = np.expm1(part, dtype=np.float64).mean(axis=1)

        _over_genes(summarise, values.shape[0])
        return cls(values, mean, variance, count_mean)


def differential_expression(
    control: SortedCells | Matrix, cells: Matrix, name: str = "The cells"
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
    control
        (control cells, genes), or what `SortedCells.of` made of them: sort them once for many perturbations.
    cells
        (cells, genes), log1p of counts per 10,000, dense or sparse.
    name
        What the cells are called in an error.

    Raises
    ------
    BenchmarkError
        When the gene counts differ, or as `SortedCells.of` does.
    """
    reference = control if isinstance(control, SortedCells) else SortedCells.of(control, "The control cells")
    n_genes = reference.values.shape[0]
    if cells.ndim == 2 and cells.shape[1] != n_genes:
        raise BenchmarkError(
            f"{name} have {cells.shape[1]} genes, but the control cells have {n_genes}; "
            "give both the same genes in the same order."
        )
    perturbed = SortedCells.of(cells, name)
    p_value = np.empty(n_genes)

    def test(genes: slice) -> None:
        p_value[genes] = rank_sum_p_values(reference.values[genes], perturbed.values[genes])

    _over_genes(test, n_genes)
    return Response(
        n_cells=perturbed.values.shape[1],
        mean=perturbed.mean,
        variance=perturbed.variance,
        change=perturbed.mean - reference.mean,
        log2_fold_change=np.log2((perturbed.count_mean + PSEUDOCOUNT) / (reference.count_mean + PSEUDOCOUNT)),
        p_value=p_value,
        fdr=false_discovery_control(p_value),
    )


def _genes_first(cells: Matrix) -> np.ndarray:
    """Copy to a dense float32 array (genes, cells), so that each gene lies together in memory."""
    if isinstance(cells, np.ndarray):
        return np.array(cells.T, dtype=np.float32, order="C")
    return np.ascontiguousarray(cells.T.toarray(), dtype=np.float32)


def _check(ascending: np.ndarray, name: str) -> None:
    """Refuse impossible values; the first of each row is its least and the last its greatest or NaN."""
    least, greatest = ascending[:, 0].min(), ascending[:, -1].max()
    if not np.isfinite(greatest) or least < 0:
        raise BenchmarkError(
            f"{name} hold NaN, infinite or negative values, but expression is finite and at least 0; "
            "correct or clamp them."
        )
    if greatest > LARGEST_LOG_VALUE:
        raise BenchmarkError(
            f"{name} hold values up to {greatest:g}, too large for log1p of counts per 10,000; "
            "normalise and take the logarithm."
        )


def _over_genes(work: Callable[[slice], None], n_genes: int) -> None:
    """Call `work` on chunks of genes, on as many threads as numba may use (``NUMBA_NUM_THREADS``)."""
    chunks = [slice(start, start + GENES_PER_CHUNK) for start in range(0, n_genes, GENES_PER_CHUNK)]
    threads = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, chunks):
            pass
