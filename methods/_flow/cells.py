"""Training cells block by block and row by row: they may be mapped from disk, and larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from torch import Tensor

ENTRIES = 2**25
"""Entries of a block of rows, were it dense."""

ROWS = 4096
"""Most rows of a block."""


def blocks(cells: sparse.csr_matrix) -> Iterator[sparse.csr_matrix]:
    """Yield all rows, in float64, some at a time."""
    size = max(1, min(ROWS, ENTRIES // max(1, cells.shape[1])))
    for start in range(0, cells.shape[0], size):
        yield cells[start : start + size].astype(np.float64)


def mean_of_genes(cells: sparse.csr_matrix, values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Mean over cells of a function of the stored values, (genes,) float64; sums of float32 drift."""
    total = np.zeros(cells.shape[1])
    for block in blocks(cells):
        # One cell after the other, so that no sum depends on where blocks begin.
        np.add.at(total, block.indices, values(block.data) * (1 / cells.shape[0]))
    return total


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
