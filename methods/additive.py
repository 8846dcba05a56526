"""The control cell plus the sum of the changes that each gene causes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.perturbation import Perturbation
from methods._pseudobulk import mean_changes, reason_if_none
from methods._shift import ShiftMethod

if TYPE_CHECKING:
    from anndata import AnnData


class Additive(ShiftMethod):
    """Add up the shifts of the single perturbations (Ahlmann-Eltze et al., Nature Methods 2025).

    A gene without a single perturbation in training gets the mean shift of the training singles, or
    of all training perturbations where there are no singles; of a perturbation without any gene that was
    perturbed alone nothing is known. Validation perturbations have nothing to choose here and count as
    training perturbations. Of several contexts the changes are pooled, and what each differs in is added
    (partial pooling, see docs/transfer.md).
    """

    name = "additive"
    version = "2"

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Keep the mean change of every single perturbation."""
        changes = mean_changes(train, validation)
        self.know_controls(changes.controls)
        self.genes_, self.shifts_ = changes.of_singles()
        self.unseen_ = self.shifts_.mean(axis=0) if self.genes_ else changes.mean()
        self.know_differences(changes)
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a perturbation none of whose genes was perturbed alone."""
        return reason_if_none(perturbation, self.genes_, "was perturbed alone in training")

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the sum of the shifts of the perturbed genes."""
        rows = dict(zip(self.genes_, self.shifts_, strict=True))
        return sum((rows.get(gene, self.unseen_) for gene in perturbation.genes), np.zeros(len(self.unseen_)))
