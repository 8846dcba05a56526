"""Raw counts: read, checked and normalised, block of rows by block."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.data.canonical_matrices import TARGET_DEPTH, Matrices, WrongValuesError, cut, numbers
from benchmark.data.cards import DatasetCard
from benchmark.data.on_disk import gathered
from benchmark.data.rows import raw_rows, some_cells
from benchmark.data.scale import find_scale
from benchmark.data.values import Values


class Counts:
    """Reads raw counts, and normalises them."""

    def __init__(
        self, adata: AnnData, rows: np.ndarray, columns: np.ndarray | None, card: DatasetCard, on_disk: bool
    ) -> None:
        self._x, self._rows, self._columns, self._card = adata.X, rows, columns, card
        self._known = None if card.depth_column is None else numbers(adata, card.depth_column)[rows]
        self._seen = Values("expression")
        self._depth: list[np.ndarray] = []
        self._expression, self._counts = gathered(on_disk), gathered(on_disk)

    def read(self, part: slice) -> None:
        """Normalise the cells of a block, unless something is wrong and `result` will say so."""
        counts = raw_rows(self._x[part], self._rows[part])
        before = self._seen.n_rows
        self._seen.see(counts)
        depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        if self._known is not None:
            depth = self._known[before : self._seen.n_rows]
        self._depth.append(depth)
        if _has_counts(depth).all() and not self._seen.impossible:
            self._expression.append(cut(log_normalise(counts, depth), self._columns))
            self._counts.append(cut(counts, self._columns))

    def result(self) -> Matrices:
        """Everything that was read, if it is counts."""
        self._seen.require_possible()
        if self._seen.broken:
            scale = find_scale(some_cells(self._x, self._rows), self._x.dtype == np.float16)
            raise WrongValuesError(
                f"Raw counts are declared, but {self._seen.broken} values are not whole numbers, such as "
                f"{self._seen.example:.4g}; if they are log1p values, declare --expression log1p "
                f"(they look like: {scale}).",
                {"expression": "log1p"} if scale.is_exact else None,
            )
        depth = np.concatenate(self._depth)
        empty = ~_has_counts(depth)
        if empty.any():
            raise WrongValuesError(
                f"{int(empty.sum())} cells of dataset '{self._card.name}' have no counts, the first is cell "
                f"{int(np.flatnonzero(empty)[0])}; remove those cells, or leave them out with --leave-out "
                "empty.",
                {"leave_out": ("empty",)},
            )
        return Matrices(self._expression.matrix(), self._counts.matrix(), depth)


def log_normalise(counts: csr_matrix, depth: np.ndarray) -> csr_matrix:
    """Return log1p(counts / depth * 1e4) for counts (cells, genes) and depth (cells,), in float64."""
    scaled = counts.astype(np.float64)
    scaled.data = np.log1p(scaled.data * np.repeat(TARGET_DEPTH / depth, np.diff(scaled.indptr)))
    return scaled


def _has_counts(depth: np.ndarray) -> np.ndarray:
    """Which cells have any, of counts over all genes, (cells,)."""
    return np.isfinite(depth) & (depth > 0)
