"""The matrices of a dataset: what its source may hold, and what becomes of it, block of rows by block."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from anndata import AnnData

from benchmark.data.blocks import row_blocks
from benchmark.data.canonical_matrices import Matrices
from benchmark.data.cards import DatasetCard
from benchmark.data.counts import Counts
from benchmark.data.logs import Logs
from benchmark.errors import BenchmarkError


def read_expression(
    adata: AnnData, rows: np.ndarray, columns: np.ndarray | None, card: DatasetCard, *, on_disk: bool
) -> Matrices:
    """Read the matrices of a source, and refuse impossible values.

    Parameters
    ----------
    adata
        The source; X and layers may be read from a file when they are indexed.
    rows
        Which cells are kept, boolean.
    columns
        Which genes are kept, in this order; None for all. Depth is counted over all.
    card
        Says what X holds.
    on_disk
        Whether the result is mapped from disk.

    Raises
    ------
    BenchmarkError
        When there is no X, or it does not hold what the card says.
    """
    if adata.X is None:
        raise BenchmarkError("The data have no matrix X; store expression values there.")
    reader: _Reader = (Counts if card.expression == "counts" else Logs)(adata, rows, columns, card, on_disk)
    for part in row_blocks(adata.shape):
        if rows[part].any():
            reader.read(part)
    return reader.result()


class _Reader(Protocol):
    def read(self, part: slice) -> None: ...

    def result(self) -> Matrices: ...
