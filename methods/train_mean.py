"""The mean change over all training perturbations, whatever is asked."""

from __future__ import annotations

from typing import Self

import numpy as np
from anndata import AnnData

from benchmark.perturbation import Perturbation
from methods._pseudobulk import mean_changes
from methods._shift import ShiftMethod


class TrainMean(ShiftMethod):
    """Predict the same change for every perturbation: it knows the data set and not the question.

    Validation perturbations have nothing to choose here and count as training perturbations.
    """

    name = "train_mean"
    version = "2"

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Average the mean changes, each perturbation counted once."""
        changes = mean_changes(train, validation)
        self.know_controls(changes.controls)
        self.shift_ = changes.mean()
        return self

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the mean training change."""
        return self.shift_
