"""Which genes each side calls differentially expressed, where both are tested on as many cells.

A test of more cells calls more genes, whatever is predicted. Real perturbations have 60 cells or 1,800, and
predictions as many as were drawn; so of the side that has more, only as many are tested as the other one has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.evaluation.metrics.once import once_per_pair
from benchmark.evaluation.metrics.response import FDR_THRESHOLD, Response
from benchmark.evaluation.metrics.sorted_cells import evenly

AS_MANY = "both sides tested on as many cells, those of the side that has fewer"
"""How declarations of metrics say it."""


@dataclass(frozen=True, eq=False)
class Calls:
    """Both sides of one perturbation.

    Attributes
    ----------
    real, predicted
        Indices of the genes with FDR < 0.05, by descending |log2 fold change|; ties keep gene order.
    predicted_fdr
        float64, (genes,): the false discovery rates of the predicted side.
    """

    real: np.ndarray
    predicted: np.ndarray
    predicted_fdr: np.ndarray


@once_per_pair
def calls(real: Response, predicted: Response) -> Calls:
    """Test both sides on as many cells, evenly taken from the side that has more."""
    n = min(real.n_cells, predicted.n_cells)
    of_real, of_predicted = _fdr(real, n), _fdr(predicted, n)
    return Calls(
        real.strongest(of_real < FDR_THRESHOLD),
        predicted.strongest(of_predicted < FDR_THRESHOLD),
        of_predicted,
    )


def _fdr(side: Response, n: int) -> np.ndarray:
    """Test so many cells of a side, evenly taken."""
    from benchmark.evaluation.metrics.rank_sum import fdr

    if side.n_cells == n:
        return side.fdr

    def of_some() -> np.ndarray:
        cells = np.ascontiguousarray(evenly(side.cells, n).T)
        cells.sort(axis=1)
        return fdr(side.control.values, cells, side.control.ties)

    return side.kept.get(f"fdr_{n}", of_some)
