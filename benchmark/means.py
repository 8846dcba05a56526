"""Cells with a given mean: what a prediction of a mean alone becomes."""

from __future__ import annotations

from functools import cached_property

import numpy as np

ORDER = 0
"""Seed of the order in which cells come to express a gene that they do not."""


class MovableCells:
    """Cells that can be given any mean, gene by gene, and stay as much like cells as that allows.

    Most genes of most cells are not seen at all, and whether they are decides a test of differential
    expression. So no zero becomes a small number. Where a mean falls, one number is subtracted from all cells
    and what would be negative is 0. Where it rises, cells that do not express the gene come to express it as
    much as cells that do; only once all of them do, one number is added to all.

    Parameters
    ----------
    cells
        (cells, genes), log1p of counts per 10,000.
    """

    def __init__(self, cells: np.ndarray) -> None:
        self._cells = cells.astype(np.float64)
        self._mean = self._cells.mean(axis=0)

    def to(self, mean: np.ndarray) -> np.ndarray:
        """Return float64 cells, (cells, genes), with the mean max(`mean`, 0), which is (genes,)."""
        mean = np.maximum(mean, 0)
        moved = self._cells.copy()
        falls, rises = mean < self._mean, mean > self._mean
        moved[:, falls] = self._lowered(falls, mean[falls])
        moved[:, rises] = self._raised(rises, mean[rises])
        return moved

    def _lowered(self, genes: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """max(cells - s, 0): with k cells above zero, s = (sum of the k largest - n mean) / k.

        k is the most for which the k-th stays positive.
        """
        descending = self._descending[:, genes]
        count = np.arange(1, len(descending) + 1)[:, None]
        moves = (np.cumsum(descending, axis=0) - len(descending) * mean) / count
        positive = np.maximum((descending > moves).sum(axis=0), 1)
        return np.maximum(self._cells[:, genes] - moves[positive - 1, np.arange(len(mean))], 0)

    def _raised(self, genes: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """As many cells express a gene as give the mean with values that are there; the rest is added."""
        order, values, expressing = self._order[:, genes], self._in_order[:, genes], self._expressing[genes]
        n = len(order)
        usual = values.sum(axis=0) / expressing
        share = np.divide(mean, usual, out=np.ones_like(mean), where=mean < usual)
        wanted = np.maximum(np.floor(n * share).astype(int), expressing)
        place = np.arange(n)[:, None]
        filled = np.where(place < wanted, np.take_along_axis(values, place % expressing, axis=0), 0.0)
        reached = filled.mean(axis=0)
        full = (wanted == n) & (mean >= reached)
        scaled = filled * np.divide(mean, reached, out=np.ones_like(mean), where=~full)
        scaled[:, full] += (mean - reached)[full]
        raised = np.empty_like(scaled)
        np.put_along_axis(raised, order, scaled, axis=0)
        return raised

    @cached_property
    def _descending(self) -> np.ndarray:
        return -np.sort(-self._cells, axis=0)

    @cached_property
    def _expressing(self) -> np.ndarray:
        """How many cells express each gene; one where none does, see `_in_order`."""
        return np.maximum((self._cells > 0).sum(axis=0), 1)

    @cached_property
    def _order(self) -> np.ndarray:
        """Cells, gene by gene: those that express it first, by chance otherwise."""
        chance = np.random.default_rng(ORDER).random(self._cells.shape)
        return np.argsort(chance + (self._cells <= 0), axis=0)

    @cached_property
    def _in_order(self) -> np.ndarray:
        """Their values; a gene that no cell expresses has the usual value of the others in one cell."""
        values = np.take_along_axis(self._cells, self._order, axis=0)
        expressed = self._cells[self._cells > 0]
        values[0, values[0] <= 0] = np.median(expressed) if len(expressed) else 1.0
        return values
