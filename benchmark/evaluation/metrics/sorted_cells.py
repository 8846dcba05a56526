"""Cells of one condition, sorted gene by gene: what every test and every mean starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from scipy import sparse

Matrix: TypeAlias = "np.ndarray | sparse.spmatrix | sparse.sparray"

LARGEST_LOG_VALUE = 15.0  # log1p(1e4) = 9.2 is the most a cell can hold; above 15 cell-eval refuses too
GENES_PER_CHUNK = 512


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

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.values.shape[1]

    @cached_property
    def ties(self) -> np.ndarray:
        """`tie_terms` of the values, float64 (genes,): the same for all tests against these cells."""
        from benchmark.evaluation.metrics.rank_sum import tie_terms

        return tie_terms(self.values)

    @property
    def noise(self) -> float:
        """What the sampling of cells adds to a squared distance from `mean`: sum over genes of v / n."""
        return float(self.variance.sum() / self.n_cells)

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
        values = _ascending(cells, name)
        mean, variance, count_mean = (np.empty(values.shape[0]) for _ in range(3))
        for genes in chunks_of_genes(values.shape[0]):
            part = values[genes].astype(np.float64)
            mean[genes] = part.mean(axis=1)
            variance[genes] = part.var(axis=1, ddof=1)
            count_mean[genes] = np.expm1(part, out=part).mean(axis=1)
        return cls(values, mean, variance, count_mean)


def mean_of(cells: Matrix, name: str = "The cells") -> np.ndarray:
    """Return the `SortedCells.mean` of cells, where it is all that is needed of them; raises as `of` does."""
    values = _ascending(cells, name)
    return np.concatenate(
        [values[genes].mean(axis=1, dtype=np.float64) for genes in chunks_of_genes(len(values))]
    )


def evenly(cells: np.ndarray, most: int) -> np.ndarray:
    """At most so many cells, in an order of their own: the same ones in whatever order they came.

    The order goes by the sum of the bits of the values, which is exact and knows no order of genes; where it
    is equal, by the values. Of more cells as many are taken as are wanted, evenly spaced in that order.

    Parameters
    ----------
    cells
        float32, (cells, genes).
    most
        How many are wanted.
    """
    cells = np.ascontiguousarray(cells) + np.float32(0)  # makes -0 to 0
    sums = cells.view(np.uint32).sum(axis=1, dtype=np.uint64)
    order = np.argsort(sums)
    if (np.diff(sums[order]) == 0).any():
        order = np.lexsort((cells.view(np.dtype((np.void, cells.shape[1] * cells.itemsize))).ravel(), sums))
    chosen = np.linspace(0, len(order) - 1, min(len(order), most)).round().astype(int)
    return cells[order[chosen]]


def chunks_of_genes(n_genes: int) -> list[slice]:
    """Divide genes into parts whose float64 copies stay in the processor's cache."""
    return [slice(start, start + GENES_PER_CHUNK) for start in range(0, n_genes, GENES_PER_CHUNK)]


def _ascending(cells: Matrix, name: str) -> np.ndarray:
    """Copy to float32 (genes, cells), each gene sorted by itself, and refuse what is no expression."""
    if cells.ndim != 2 or cells.shape[0] < 2 or cells.shape[1] < 1:
        raise BenchmarkError(
            f"{name} have the shape {tuple(cells.shape)}, but at least 2 cells by 1 gene are needed; "
            "leave the perturbation out or give it more cells."
        )
    values = _genes_first(cells)
    values.sort(axis=1)
    _check(values, name)
    return values


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
