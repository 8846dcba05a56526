"""Methods that move control cells by one vector per perturbation, and never below zero expression."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.means import move_to_mean
from benchmark.method import Method
from benchmark.perturbation import Perturbation

if TYPE_CHECKING:
    from anndata import AnnData


class ShiftMethod(Method):
    """x_pert = max(x_ctrl + shift(perturbation), 0); a subclass learns the shift."""

    @abstractmethod
    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the change of mean expression, (genes,), log1p CP10K."""

    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Move every control cell by the shift of each perturbation."""
        from scipy import sparse

        self.require_fitted()
        cells = control.X.toarray() if sparse.issparse(control.X) else np.asarray(control.X)
        for perturbation in perturbations:
            yield self._moved(cells, self.shift(perturbation)).astype(np.float32)

    def _moved(self, cells: np.ndarray, shift: np.ndarray) -> np.ndarray:
        return np.maximum(cells + shift, 0)


class MeanMethod(ShiftMethod):
    """A model of the mean: control cells are moved until their mean is the one that it predicts.

    Cutting shifted cells at zero raises their mean, and a sample of control cells has a mean of its
    own; both errors would be charged to a model that says nothing about single cells. `fit` of a
    subclass sets ``control_mean_``, the mean of all training controls, (genes,).
    """

    control_mean_: np.ndarray

    def _moved(self, cells: np.ndarray, shift: np.ndarray) -> np.ndarray:
        return move_to_mean(cells, self.control_mean_ + shift)
