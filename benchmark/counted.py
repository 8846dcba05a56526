"""Predicted counts, and the log values that they stand for.

Metrics read log1p of counts per 10,000, in which rows of a board are compared; some read counts where both
sides hold them. So predicted counts are kept as they are, with what one of them is worth in each cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

Matrix: TypeAlias = "np.ndarray | sparse.spmatrix | sparse.sparray"

Expression = Literal["log1p", "counts"]
"""What predicted cells hold: log1p of counts per 10,000, or counts."""


class PredictedCounts(Mapping[str, np.ndarray]):
    """Predicted cells of each perturbation, log1p of counts per 10,000, that were handed over as counts.

    Parameters
    ----------
    counts
        Label -> whole numbers, (cells, genes), dense or sparse; read whenever they are asked for.
    worth
        Label and its counts, dense -> counts per 10,000 that one count of each cell is worth, (cells,).
    """

    def __init__(self, counts: Mapping[str, Matrix], worth: Callable[[str, np.ndarray], np.ndarray]) -> None:
        self.counts = counts
        self._worth = worth

    def __getitem__(self, label: str) -> np.ndarray:
        """Return log values, float32 (cells, genes)."""
        counts = dense(self.counts[label])
        return logs_of(counts, self._worth(label, counts))

    def worth(self, label: str) -> np.ndarray:
        """Return counts per 10,000 that one count of each cell is worth, (cells,)."""
        return self._worth(label, dense(self.counts[label]))

    def __iter__(self) -> Iterator[str]:
        """Go through the labels."""
        return iter(self.counts)

    def __len__(self) -> int:
        """Count the perturbations."""
        return len(self.counts)


def worth_of_counts(expression: sparse.csr_matrix, counts: sparse.csr_matrix) -> np.ndarray:
    """Return how many counts per 10,000 one count of a cell is worth, float64 (cells,); 0 where it has none.

    The depth that X was divided by may cover more genes than there are here, so it is asked what takes the
    counts of a cell to its X.

    Parameters
    ----------
    expression
        log1p of counts per 10,000, (cells, genes).
    counts
        Of the same cells.
    """
    scaled = np.asarray(expression.astype(np.float64).expm1().sum(axis=1)).ravel()
    depth = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    return np.divide(scaled, depth, out=np.zeros_like(scaled), where=depth > 0)


def logs_of(counts: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Return log1p of counts per 10,000, float32 (cells, genes); `worth` as `worth_of_counts` gives it."""
    return np.log1p(counts * worth[:, None]).astype(np.float32)


def counts_of(logs: np.ndarray, worth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return whole counts, float32 (cells, genes), whose expectation stands for these log values.

    What is between two whole numbers is one of them by chance, which adds the least noise that counts can
    have. Where one count is worth nothing there are none.

    Parameters
    ----------
    logs
        log1p of counts per 10,000, (cells, genes).
    worth
        As `worth_of_counts` gives it, (cells,).
    rng
        Decides.
    """
    scaled = np.expm1(logs.astype(np.float64))
    expected = np.divide(scaled, worth[:, None], out=np.zeros_like(scaled), where=worth[:, None] > 0)
    whole = np.floor(expected)
    return (whole + (rng.random(expected.shape) < expected - whole)).astype(np.float32)


def dense(cells: Matrix) -> np.ndarray:
    """Return cells as an array."""
    return cells if isinstance(cells, np.ndarray) else cells.toarray()
