"""Which values a matrix holds: any that no expression has, any that no count is, and the largest."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from benchmark.errors import BenchmarkError


@dataclass
class Values:
    """What has been seen of a matrix whose rows are looked at in their order.

    Attributes
    ----------
    what
        The matrix, in messages.
    n_rows
        Rows so far.
    impossible
        Kind -> how many values, and cell and gene of the first.
    broken, example
        How many values are no whole numbers, and the first of them.
    largest
        The largest value, at least 0.
    """

    what: str
    n_rows: int = 0
    impossible: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    broken: int = 0
    example: float = 0.0
    largest: float = 0.0

    def see(self, matrix: csr_matrix) -> None:
        """Look at the next rows."""
        for wrong, kind in ((~np.isfinite(matrix.data), "NaN or infinite"), (matrix.data < 0, "negative")):
            if wrong.any():
                row, column = _first(matrix, wrong)
                before, *place = self.impossible.get(kind, (0, self.n_rows + row, column))
                self.impossible[kind] = (before + int(wrong.sum()), place[0], place[1])
        broken = matrix.data != np.round(matrix.data)
        if broken.any() and not self.broken:
            self.example = matrix.data[broken][0]
        self.broken += int(broken.sum())
        self.largest = max(self.largest, float(matrix.data.max(initial=0.0)))
        self.n_rows += matrix.shape[0]

    def require_possible(self) -> None:
        """Refuse values that no expression has."""
        for kind in ("NaN or infinite", "negative"):
            if kind in self.impossible:
                count, row, column = self.impossible[kind]
                raise BenchmarkError(
                    f"The {self.what} matrix has {count} {kind} values, the first in cell {row}, "
                    f"gene {column}; correct or remove them."
                )


def _first(matrix: csr_matrix, wrong: np.ndarray) -> tuple[int, int]:
    position = int(np.flatnonzero(wrong)[0])
    row = int(np.searchsorted(matrix.indptr, position, side="right")) - 1
    return row, int(matrix.indices[position])
