"""The mean change in other contexts, whatever is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.perturbation import Perturbation
from methods._elsewhere import Elsewhere

if TYPE_CHECKING:
    from anndata import AnnData


class General(Elsewhere):
    """The control cell of a context plus the mean change of all perturbations in the other contexts.

    It knows in which direction perturbed cells change and neither the perturbation nor the context: what a
    method that claims to transfer must beat. Each context counts once, and in it each perturbation. Where
    there is one context alone it is `train_mean`. Validation perturbations count as training perturbations.
    """

    name = "general"

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Keep the mean change in each context."""
        self.know_changes(train, validation)
        self.means_ = np.stack([values.mean(axis=0) for values in self.values_by_context()])
        return self

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the mean over the other contexts of their mean changes."""
        return self.means_[self.others(perturbation.context)].mean(axis=0)
