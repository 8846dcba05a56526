"""What the perturbation does in the other contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from benchmark.config import MethodConfig, parameter
from benchmark.perturbation import Perturbation
from methods._elsewhere import Elsewhere
from methods._pseudobulk import alike

if TYPE_CHECKING:
    from anndata import AnnData


class SameElsewhereConfig(MethodConfig):
    """How much each of the other contexts counts."""

    weights: Literal["equal", "alike"] = parameter(
        "equal",
        search=("equal", "alike"),
        help="All other contexts alike (equal), or more the more alike their control cells are (alike).",
    )


class SameElsewhere(Elsewhere):
    """The mean change of the same perturbation over the other contexts in which it was measured.

    With the weights ``alike`` a context counts by 1 over the squared distance of the means of its control
    cells from those of the context that is asked about. A perturbation that was measured in no other context
    is refused. Of data with one context it refuses all. Validation perturbations count as training
    perturbations.
    """

    name = "same_elsewhere"
    Config = SameElsewhereConfig
    config: SameElsewhereConfig

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Keep the change of each perturbation in each context."""
        self.know_changes(train, validation)
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse what was measured in no other context."""
        return (
            None if self.rows_elsewhere(perturbation) else "it was measured in no other context in training"
        )

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the mean over other contexts of its changes there; of what is unknown the mean of all."""
        rows = self.rows_elsewhere(perturbation)
        if not rows:
            return self.values_.mean(axis=0)
        if self.config.weights == "equal":
            return self.values_[rows].mean(axis=0)
        here = self.control_mean(perturbation.context)
        weights = alike(here, [self.control_mean(self.condition_contexts_[row]) for row in rows])
        return np.average(self.values_[rows], axis=0, weights=weights)
