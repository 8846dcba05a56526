"""Training cells, which may be mapped from disk and larger than memory: in parts, as units, as a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

ENTRIES = 2**25
"""Entries of a block of rows, were it dense."""

ROWS = 4096
"""Most rows of a block."""

VALUES_AT_ONCE = 2**20
"""Of a digest."""


def slices(total: int, size: int) -> Iterator[slice]:
    """Split a range into slices of at most `size`, or of one where `size` is less."""
    size = max(1, size)
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def blocks(cells: sparse.csr_matrix) -> Iterator[sparse.csr_matrix]:
    """Yield all rows, in float64, some at a time."""
    for part in slices(cells.shape[0], min(ROWS, ENTRIES // max(1, cells.shape[1]))):
        yield cells[part].astype(np.float64)


def mean_of_genes(cells: sparse.csr_matrix, values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Mean over cells of a function of the stored values, (genes,) float64; sums of float32 drift."""
    total = np.zeros(cells.shape[1])
    for block in blocks(cells):
        # One cell after the other, so that no sum depends on where blocks begin.
        np.add.at(total, block.indices, values(block.data) * (1 / cells.shape[0]))
    return total


def moments(cells: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each gene over cells, float32, the latter 0 where a gene is constant."""
    n_cells, n_genes = cells.shape
    mean = mean_of_genes(cells, np.asarray)
    squares, zeros = np.zeros(n_genes), np.full(n_genes, n_cells)
    for block in blocks(cells):
        # Squares around the mean, since a difference of means makes constant genes look varied.
        np.add.at(squares, block.indices, (block.data - mean[block.indices]) ** 2)
        zeros -= np.bincount(block.indices, minlength=n_genes)
    deviation = np.sqrt((squares + zeros * mean**2) / n_cells)
    deviation[deviation < 1e-6] = 0.0
    return mean.astype(np.float32), deviation.astype(np.float32)


def standardise(cells: sparse.csr_matrix, mean: np.ndarray, deviation: np.ndarray) -> Tensor:
    """Cells (cells, genes) in units of each gene's deviation around its mean, dense; constant genes are 0."""
    return torch.from_numpy((cells.toarray() - mean) / np.where(deviation > 0, deviation, 1))


def cells_digest(cells: sparse.csr_matrix, genes: Sequence[str]) -> str:
    """SHA-256 of the expression of cells and of the names of its genes."""
    digest = hashlib.sha256("\n".join(genes).encode())
    for part, kind in ((cells.indptr, np.int64), (cells.indices, np.int32), (cells.data, np.float32)):
        for some in slices(len(part), VALUES_AT_ONCE):
            digest.update(np.ascontiguousarray(part[some], dtype=kind).data)
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class DenseRows:
    """Some rows of a matrix, made dense when they are asked for.

    Attributes
    ----------
    cells
        All cells, log1p CP10K.
    rows
        Those that are here.
    in_units
        Cells (cells, genes) in the units of the flow, dense.
    """

    cells: sparse.csr_matrix
    rows: np.ndarray
    in_units: Callable[[sparse.csr_matrix], Tensor]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and genes."""
        return len(self.rows), int(self.cells.shape[1])

    def __getitem__(self, which: Tensor | slice) -> Tensor:
        """Read rows, float32, (rows, genes)."""
        chosen = self.rows[which if isinstance(which, slice) else which.numpy()]
        return self.in_units(self.cells[chosen])
