"""The mean control cell: what every model must beat."""

from __future__ import annotations

from typing import Self

import numpy as np
from anndata import AnnData

from benchmark.perturbation import Perturbation
from methods._pseudobulk import control_means
from methods._shift import ShiftMethod


class NoChange(ShiftMethod):
    """Predict that no perturbation does anything."""

    name = "no_change"
    version = "2"

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Remember the mean control cell."""
        self.know_controls(control_means(train))
        return self

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return zeros."""
        return np.zeros_like(self.control_mean_)
