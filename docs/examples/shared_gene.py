"""A worked example of a method: a pair changes as the training perturbations that share a gene with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import numpy as np
from anndata import AnnData

from benchmark.config import MethodConfig, parameter
from benchmark.means import MovableCells
from benchmark.method import Method
from benchmark.perturbation import CONTROL, Perturbation


class SharedGeneConfig(MethodConfig):
    """One number: how much the perturbations with a shared gene count."""

    blend: float = parameter(
        0.5,
        ge=0,
        le=1,
        search=(0.0, 1.0),
        help="Weight of perturbations that share a gene; all have the rest.",
    )


class SharedGene(Method):
    """Average the changes of the training perturbations that share a gene, and blend with those of all."""

    name = "shared_gene"
    draws: ClassVar[bool] = False
    Config = SharedGeneConfig
    config: SharedGeneConfig

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Keep the mean change of every perturbation; nothing is chosen, so validation teaches, too."""
        self.control_ = _mean(train, CONTROL)
        changes = {
            label: _mean(cells, label) - self.control_
            for cells in (train, validation)
            for label in sorted(cells.obs["perturbation"].unique())
            if label != CONTROL
        }
        self.labels_ = list(changes)
        self.changes_ = np.stack(list(changes.values()))
        return self

    def predict_mean(self, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Add the blended change to the mean control cell, and stop at zero."""
        self.require_fitted()
        for perturbation in perturbations:
            yield np.maximum(self.control_ + self._change(perturbation), 0)

    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Move the given control cells until they have that mean."""
        cells = MovableCells(control.X.toarray())
        for mean in self.predict_mean(perturbations):
            yield cells.to(mean).astype(np.float32)

    def _change(self, perturbation: Perturbation) -> np.ndarray:
        asked = set(perturbation.genes)
        sharing = [row for row, label in enumerate(self.labels_) if asked & set(label.split("+"))]
        of_all = self.changes_.mean(axis=0)
        of_sharing = self.changes_[sharing].mean(axis=0) if sharing else of_all
        return self.config.blend * of_sharing + (1 - self.config.blend) * of_all


def _mean(cells: AnnData, label: str) -> np.ndarray:
    """Mean expression of the cells of one label, (genes,)."""
    rows = (cells.obs["perturbation"] == label).to_numpy()
    return np.asarray(cells.X[rows].mean(axis=0)).ravel()
