"""Changes of conditions, a perturbation in a context each, for baselines that know contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.perturbation import Perturbation
from methods._pseudobulk import changes_by_context
from methods._shift import ShiftMethod

if TYPE_CHECKING:
    from anndata import AnnData


class Elsewhere(ShiftMethod):
    """A baseline that rests on the mean changes of conditions.

    Attributes
    ----------
    values_
        (conditions, genes): mean change of each, log1p CP10K, from the control cells of its context.
    labels_, condition_contexts_
        Perturbation and context of each condition, as texts.
    perturbed_
        The contexts in which anything was perturbed.
    """

    values_: np.ndarray
    labels_: list[str]
    condition_contexts_: list[str]
    perturbed_: list[str]

    def know_changes(self, train: AnnData, validation: AnnData) -> None:
        """Keep the changes of all conditions, those for validation among them."""
        found = changes_by_context(train, validation)
        self.know_controls({context: changes.control_mean for context, changes in found.items()})
        self.perturbed_ = [context for context, changes in found.items() if changes.perturbations]
        self.values_ = np.concatenate([changes.values for changes in found.values()])
        self.labels_ = [str(p) for changes in found.values() for p in changes.perturbations]
        self.condition_contexts_ = [
            context for context, changes in found.items() for _ in changes.perturbations
        ]

    def values_by_context(self) -> list[np.ndarray]:
        """Changes in each of `perturbed_`, (perturbations, genes)."""
        contexts = np.array(self.condition_contexts_)
        return [self.values_[contexts == context] for context in self.perturbed_]

    def others(self, context: str) -> list[int]:
        """Positions in `perturbed_` of all contexts but one; where there is no other, of all."""
        others = [place for place, name in enumerate(self.perturbed_) if name != context]
        return others or list(range(len(self.perturbed_)))

    def rows_elsewhere(self, perturbation: Perturbation) -> list[int]:
        """Rows of the same perturbation in other contexts."""
        conditions = zip(self.labels_, self.condition_contexts_, strict=True)
        return [
            row
            for row, (label, context) in enumerate(conditions)
            if label == str(perturbation) and context != perturbation.context
        ]
