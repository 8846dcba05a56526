"""Log values: read, checked and brought to the usual scale, block of rows by block, with their counts."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.data.canonical_matrices import TARGET_DEPTH, Matrices, WrongValuesError, cut, numbers
from benchmark.data.cards import DatasetCard
from benchmark.data.on_disk import gathered
from benchmark.data.rows import raw_rows, some_cells
from benchmark.data.scale import converted, exceeding, find_scale, off_scale
from benchmark.data.values import Values

COUNT_TOLERANCE = 0.01

_log = logging.getLogger("benchmark")


class Logs:
    """Reads log1p values with the counts that are given beside them, or that they were made from."""

    def __init__(
        self, adata: AnnData, rows: np.ndarray, columns: np.ndarray | None, card: DatasetCard, on_disk: bool
    ) -> None:
        self._x, self._rows, self._columns, self._card = adata.X, rows, columns, card
        self._given = adata.layers.get("counts")
        self._depth = None
        if self._given is None and card.depth_column is not None:
            self._depth = numbers(adata, card.depth_column)[rows]
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
        self._expression.append(cut(values, self._columns))
        if self._given is not None:
            counts = raw_rows(self._given[part], self._rows[part])
            self._seen_counts.see(counts)
            self._counts.append(cut(counts, self._columns))
        elif self._has_counts and not self._exceeding:
            assert self._depth is not None
            recovered = _recovered(values, self._depth[cells])
            self._has_counts = recovered is not None
            if recovered is not None:
                self._counts.append(cut(recovered, self._columns))

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
