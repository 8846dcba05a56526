"""The matrices of a dataset: what its source may hold, and what becomes of it, block of rows by block."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.data.blocks import row_blocks
from benchmark.data.cards import DatasetCard
from benchmark.data.on_disk import gathered
from benchmark.data.rows import raw_rows, some_cells
from benchmark.data.scale import converted, exceeding, find_scale, off_scale
from benchmark.data.values import Values
from benchmark.errors import BenchmarkError, unknown

TARGET_DEPTH = 1e4
COUNT_TOLERANCE = 0.01

_log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Matrices:
    """Matrices in canonical form.

    Attributes
    ----------
    expression
        float32, (cells, genes), log1p of counts per 10,000.
    counts
        float32, (cells, genes), where there are any.
    depth
        float64, (cells,), only where `expression` was computed from counts.
    """

    expression: csr_matrix
    counts: csr_matrix | None
    depth: np.ndarray | None


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
    reader: _Reader = (_Counts if card.expression == "counts" else _Logs)(adata, rows, columns, card, on_disk)
    for part in row_blocks(adata.shape):
        if rows[part].any():
            reader.read(part)
    return reader.result()


class WrongValuesError(BenchmarkError):
    """A matrix does not hold what was declared; `mend` is what a card says to read it, or None."""

    def __init__(self, sentence: str, mend: Mapping[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.mend = mend


def log_normalise(counts: csr_matrix, depth: np.ndarray) -> csr_matrix:
    """Return log1p(counts / depth * 1e4) for counts (cells, genes) and depth (cells,), in float64."""
    scaled = counts.astype(np.float64)
    scaled.data = np.log1p(scaled.data * np.repeat(TARGET_DEPTH / depth, np.diff(scaled.indptr)))
    return scaled


class _Reader(Protocol):
    def read(self, part: slice) -> None: ...

    def result(self) -> Matrices: ...


class _Counts:
    """Reads raw counts, and normalises them."""

    def __init__(
        self, adata: AnnData, rows: np.ndarray, columns: np.ndarray | None, card: DatasetCard, on_disk: bool
    ) -> None:
        self._x, self._rows, self._columns, self._card = adata.X, rows, columns, card
        self._known = None if card.depth_column is None else _numbers(adata, card.depth_column)[rows]
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
            self._expression.append(_cut(log_normalise(counts, depth), self._columns))
            self._counts.append(_cut(counts, self._columns))

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


class _Logs:
    """Reads log1p values with the counts that are given beside them, or that they were made from."""

    def __init__(
        self, adata: AnnData, rows: np.ndarray, columns: np.ndarray | None, card: DatasetCard, on_disk: bool
    ) -> None:
        self._x, self._rows, self._columns, self._card = adata.X, rows, columns, card
        self._given = adata.layers.get("counts")
        self._depth = None
        if self._given is None and card.depth_column is not None:
            self._depth = _numbers(adata, card.depth_column)[rows]
        self._scale = find_scale(some_cells(adata.X, rows), adata.X.dtype == np.float16)
        self._is_converted = self._scale.is_exact and not self._scale.is_canonical and not card.as_published
        self._off = self._exceeding = 0
        self._seen, self._seen_counts = Values("expression"), Values("counts")
        self._expression, self._counts = gathered(on_disk), gathered(on_disk)
        self._has_counts = self._given is not None or self._depth is not None

    def read(self, part: slice) -> None:
        """Bring a block to log1p of counts per 10,000, and take its counts as long as there are some."""
        values = raw_rows(self._x[part], self._rows[part])
        cells = slice(self._seen.n_rows, self._seen.n_rows + values.shape[0])
        self._seen.see(values)
        if self._seen.impossible:
            return
        if self._scale.is_exact:
            self._off += off_scale(values, self._scale)
        else:
            self._exceeding += exceeding(values)
        if self._is_converted:
            values = converted(values, self._scale)
        self._expression.append(_cut(values, self._columns))
        if self._given is not None:
            counts = raw_rows(self._given[part], self._rows[part])
            self._seen_counts.see(counts)
            self._counts.append(_cut(counts, self._columns))
        elif self._has_counts and not self._exceeding:
            assert self._depth is not None
            recovered = _recovered(values, self._depth[cells])
            self._has_counts = recovered is not None
            if recovered is not None:
                self._counts.append(_cut(recovered, self._columns))

    def result(self) -> Matrices:
        """Everything that was read, if its scale is known."""
        self._seen.require_possible()
        if not self._seen.broken:
            raise WrongValuesError(
                f"{self._declared()}, but all values are whole numbers (the largest is "
                f"{self._seen.largest:.4g}); "
                "if they are raw counts, declare --expression counts.",
                {"expression": "counts"},
            )
        self._require_scale()
        self._seen_counts.require_possible()
        if self._seen_counts.broken:
            _log.warning("layers['counts'] holds values that are not whole numbers and was left out.")
        has_counts = self._has_counts and not self._seen_counts.broken
        return Matrices(self._expression.matrix(), self._counts.matrix() if has_counts else None, None)

    def _declared(self) -> str:
        was_said = "expression" in self._card.model_fields_set
        return f"log1p values are {'declared' if was_said else 'expected where --expression is not given'}"

    def _require_scale(self) -> None:
        """Refuse values that cannot be made log1p of counts per 10,000; say what was made of them."""
        scale, name = self._scale, self._card.name
        if self._card.as_published:
            if self._exceeding or (scale.is_exact and not scale.is_canonical):
                _log.info("The values of '%s' are taken as published, and look like %s.", name, scale)
            return
        if self._is_converted and self._off:
            raise WrongValuesError(
                f"{self._declared()}, but values are {scale}, and {self._off} cells have another sum; "
                "give raw "
                "counts, or cells that were normalised alike."
            )
        if self._is_converted:
            _log.warning("The values of '%s' are %s: converted to log1p of counts per 10,000.", name, scale)
        elif self._exceeding or (scale.kind == "log" and scale.base != np.e):
            raise WrongValuesError(
                f"{self._declared()}, but the values are too large (the largest is "
                f"{self._seen.largest:.4g}): in "
                f"{self._exceeding} cells they stand for more than 10,000 counts per 10,000; they look "
                f"like {scale}, "
                "which cannot be converted exactly: give raw counts."
            )
        elif self._off:
            _log.warning("%d cells of '%s' do not sum to 10,000 as the others do.", self._off, name)


def _cut(matrix: csr_matrix, columns: np.ndarray | None) -> csr_matrix:
    """Keep some columns, as float32."""
    cut = matrix.astype(np.float32)
    if columns is not None:
        cut = cut[:, columns]
        cut.sort_indices()
    return cut


def _has_counts(depth: np.ndarray) -> np.ndarray:
    """Which cells have any, of counts over all genes, (cells,)."""
    return np.isfinite(depth) & (depth > 0)


def _numbers(adata: AnnData, column: str) -> np.ndarray:
    if column not in adata.obs:
        raise unknown("column of obs", column, map(str, adata.obs.columns))
    return np.asarray(pd.to_numeric(adata.obs[column], errors="coerce"), dtype=np.float64)


def _recovered(log_values: csr_matrix, depth: np.ndarray) -> csr_matrix | None:
    """Undo log1p(counts / depth * 1e4) where that gives whole numbers, else return None.

    The depth may count a few genes more than the depth that was divided by, so it only tells how many counts
    the smallest value of a cell stands for; that value then sets the scale of the cell.
    """
    if not np.diff(log_values.indptr).all():
        return None
    scaled = np.expm1(log_values.data.astype(np.float64))
    smallest = np.minimum.reduceat(scaled, log_values.indptr[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = smallest / np.round(smallest * depth / TARGET_DEPTH)
        values = scaled / np.repeat(unit, np.diff(log_values.indptr))
        whole = np.abs(values - np.round(values)) <= COUNT_TOLERANCE
    if not whole.all():
        return None
    counts = log_values.astype(np.float64)
    counts.data = np.round(values)
    return counts
