"""The matching mean of Systema: a double is the average of its two singles."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.perturbation import Perturbation
from methods._pseudobulk import mean_changes, reason_if_none
from methods._shift import ShiftMethod

if TYPE_CHECKING:
    from anndata import AnnData


class MeanOfGenes(ShiftMethod):
    """The mean over the perturbed genes of the mean expression of the cells in which each is perturbed alone.

    Published as "matching mean" (Viñas Torné et al., Nature Biotechnology 2025, Methods, and
    ``src/run_matching-mean.py`` of mlbio-epfl/systema): for a gene that was not perturbed alone in training
    stands the mean over all perturbed training cells. Because the mean and not the sum of two changes is
    taken, it says less than `additive` where effects add, and it is the stronger the more all changes are
    alike.

    Ours is that validation perturbations, which have nothing to choose here, count as training perturbations,
    that cells start from controls which are moved to the mean, and that a perturbation without any gene that
    was perturbed alone, for which the published one is the same mean whatever is asked, is refused.
    """

    name = "mean_of_genes"

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Keep the mean change of every single perturbation, and that of all perturbed cells."""
        changes = mean_changes(train, validation)
        self.know_controls(changes.controls)
        self.genes_, self.shifts_ = changes.of_singles()
        counts = Counter([*train.obs["perturbation"], *validation.obs["perturbation"]])
        cells = [counts[str(p)] for p in changes.perturbations]
        self.all_cells_ = np.average(changes.values, axis=0, weights=cells)
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a perturbation none of whose genes was perturbed alone."""
        return reason_if_none(perturbation, self.genes_, "was perturbed alone in training")

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the mean of the shifts of the perturbed genes."""
        rows = dict(zip(self.genes_, self.shifts_, strict=True))
        return np.mean([rows.get(gene, self.all_cells_) for gene in perturbation.genes], axis=0)
