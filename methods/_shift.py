"""Methods that predict one change of the mean per perturbation, and move control cells by it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmark.means import MovableCells
from benchmark.method import Method
from benchmark.perturbation import Perturbation

if TYPE_CHECKING:
    from anndata import AnnData


class ShiftMethod(Method):
    """The mean of all control cells plus a shift; control cells are moved until they have that mean.

    `fit` of a subclass sets ``control_mean_``, the mean of the control cells that it is given, (genes,).
    """

    draws: ClassVar[bool] = False
    control_mean_: np.ndarray

    @abstractmethod
    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the change of mean expression, (genes,), log1p CP10K."""

    def predict_mean(self, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Add the shift of each perturbation to the mean control cell, and cut at zero."""
        self.require_fitted()
        for perturbation in perturbations:
            yield np.maximum(self.control_mean_ + self.shift(perturbation), 0)

    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Move the control cells to the mean of each perturbation, see `benchmark.means`."""
        from scipy import sparse

        self.require_fitted()
        cells = MovableCells(control.X.toarray() if sparse.issparse(control.X) else np.asarray(control.X))
        for mean in self.predict_mean(perturbations):
            yield cells.to(mean).astype(np.float32)
