"""Matrices one piece at a time: blocks of rows, and the cells of one perturbation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

ENTRIES = 2**20
"""Entries of a block of rows, were it dense; at 8 bytes each 8 MB."""

T = TypeVar("T")


def layers_of(adata: AnnData) -> dict[str, Any]:
    """Return the layers by name; from anndata 0.13 on, X is among them under the name None."""
    return {name: layer for name, layer in adata.layers.items() if name is not None}


def row_blocks(shape: tuple[int, int]) -> Iterator[slice]:
    """Divide the rows of a matrix into blocks of about `ENTRIES` entries."""
    size = max(1, ENTRIES // max(1, shape[1]))
    for start in range(0, shape[0], size):
        yield slice(start, min(start + size, shape[0]))


def moments(cells: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (divisor n - 1) of each column of a matrix, float64."""
    total, squares = np.zeros(cells.shape[1]), np.zeros(cells.shape[1])
    for part in row_blocks(cells.shape):
        block = cells[part].astype(np.float64)
        total += np.asarray(block.sum(axis=0)).ravel()
        squares += np.asarray(block.multiply(block).sum(axis=0)).ravel()
    n = cells.shape[0]
    mean = total / n
    return mean, np.maximum(squares - n * mean**2, 0) / max(n - 1, 1)


def rows_by_label(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the positions of each label, ascending; labels in alphabetical order."""
    import pandas as pd  # a finished run is shown without it

    return {str(label): rows for label, rows in pd.Series(labels).groupby(labels).indices.items()}


class LazyCells(Mapping[str, T]):
    """Cells by perturbation, made anew whenever they are asked for: the labels are all that is held.

    Parameters
    ----------
    labels
        The perturbations, in this order.
    make
        Label -> its cells, (cells, genes).
    """

    def __init__(self, labels: Iterable[str], make: Callable[[str], T]) -> None:
        self._labels = dict.fromkeys(labels)
        self._make = make

    def __getitem__(self, label: str) -> T:
        if label not in self._labels:
            raise KeyError(label)
        return self._make(label)

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)
