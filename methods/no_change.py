"""The control cells as they are: what every model must beat."""

from __future__ import annotations

from typing import Self

import numpy as np
from anndata import AnnData

from benchmark.perturbation import Perturbation
from methods._shift import ShiftMethod


class NoChange(ShiftMethod):
    """Predict that no perturbation does anything."""

    name = "no_change"

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Remember how many genes there are."""
        self.n_genes_ = int(train.n_vars)
        return self

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return zeros."""
        return np.zeros(self.n_genes_)
