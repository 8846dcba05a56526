"""The mean change in the context that is asked about, whatever the perturbation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.perturbation import Perturbation
from methods._elsewhere import Elsewhere

if TYPE_CHECKING:
    from anndata import AnnData


class ContextMean(Elsewhere):
    """The mean change of the perturbations that were measured in the same context, each counted once.

    It is `train_mean` of one context, and refuses a context in which nothing was perturbed. Validation
    perturbations count as training perturbations.
    """

    name = "context_mean"

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Keep the mean change in each context."""
        self.know_changes(train, validation)
        self.means_ = np.stack([values.mean(axis=0) for values in self.values_by_context()])
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a context in which nothing was perturbed."""
        if perturbation.context in self.perturbed_:
            return None
        return "nothing was perturbed in its context in training"

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the mean change in the context; where nothing is known of it, that in the others."""
        if perturbation.context in self.perturbed_:
            return self.means_[self.perturbed_.index(perturbation.context)]
        return self.means_.mean(axis=0)
