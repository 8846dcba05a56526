"""Rows of a matrix as a source stores it, in memory or in a file: some, all, and which have any value."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csr_matrix

from benchmark.data.blocks import row_blocks

CELLS = 256
"""Cells that tell what a matrix holds."""
STRETCHES = 16
"""Places of a matrix that they are taken from."""


def raw_rows(values: Any, rows: np.ndarray | None) -> csr_matrix:
    """Copy some rows, or all, to CSR with sorted indices and no stored zeros; float16 becomes float32."""
    kept = values if rows is None or rows.all() else values[rows]
    matrix = csr_matrix(kept.astype(np.float32) if kept.dtype == np.float16 else kept, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def some_cells(matrix: Any, rows: np.ndarray) -> csr_matrix:
    """Return about `CELLS` of some cells, from all over a matrix that may be read from a file.

    Parameters
    ----------
    matrix
        (cells, genes).
    rows
        Which cells may be taken, boolean.
    """
    kept = np.flatnonzero(rows)
    length = -(-CELLS // STRETCHES)
    firsts = np.unique(np.linspace(0, max(0, len(kept) - length), STRETCHES).astype(int))
    parts = [slice(int(kept[first]), int(kept[first]) + 4 * length) for first in firsts]
    chosen = [raw_rows(matrix[part], rows[part])[:length] for part in parts]
    return sparse.vstack(chosen, format="csr")


def filled_cells(matrix: Any) -> np.ndarray:
    """Return which cells have any value, boolean, (cells,)."""
    parts = [raw_rows(matrix[part], None) for part in row_blocks(matrix.shape)]
    return np.concatenate([np.diff(part.indptr) > 0 for part in parts])
