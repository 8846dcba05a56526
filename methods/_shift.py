"""Methods that predict one change of the mean per perturbation, and move control cells by it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmark.contexts import NONE
from benchmark.errors import BenchmarkError
from benchmark.means import MovableCells
from benchmark.method import Method
from benchmark.perturbation import Perturbation
from methods._differences import Differences

if TYPE_CHECKING:
    from anndata import AnnData

    from methods._pseudobulk import Changes

OF_CONTEXTS = ("contexts_", "control_means_", "differing_contexts_", "differing_genes_", "differences_")
"""What is learned of contexts alone."""


class ShiftMethod(Method):
    """The mean of all control cells of a context plus a shift; control cells are moved to that mean.

    `fit` of a subclass calls `know_controls`. One whose shift is pooled over contexts may end with
    `know_differences`, so that it is partly pooled.

    Attributes
    ----------
    control_mean_
        The mean of the control cells that it is given, (genes,); of several contexts the mean over them.
    contexts_, control_means_
        The contexts, where there are several, and the mean of the control cells of each, (contexts, genes).
    differing_contexts_, differing_genes_, differences_
        What some contexts add to the shift, as `Differences` describes it; absent where none does.
    """

    draws: ClassVar[bool] = False
    supports_contexts: ClassVar[bool] = True
    control_mean_: np.ndarray
    contexts_: list[str]
    control_means_: np.ndarray
    differing_contexts_: list[str]
    differing_genes_: list[str]
    differences_: np.ndarray

    def know_controls(self, controls: Mapping[str, np.ndarray]) -> None:
        """Keep the mean of the control cells of each context, (genes,)."""
        for name in OF_CONTEXTS:  # of an earlier fit
            vars(self).pop(name, None)
        if list(controls) == [NONE]:
            self.control_mean_ = controls[NONE]
            return
        self.contexts_, self.control_means_ = list(controls), np.stack(list(controls.values()))
        self.control_mean_ = self.control_means_.mean(axis=0)

    def control_mean(self, context: str) -> np.ndarray:
        """Return the mean of the control cells of a context, (genes,).

        Raises
        ------
        BenchmarkError
            Where none of that context were given.
        """
        if "contexts_" not in vars(self):
            return self.control_mean_
        if context not in self.contexts_:
            raise BenchmarkError(
                f"{self.name} was given no control cells of the context '{context}'; fit it on some."
            )
        return self.control_means_[self.contexts_.index(context)]

    @abstractmethod
    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the change of mean expression, (genes,), log1p CP10K."""

    def know_differences(self, changes: Changes) -> None:
        """Learn what contexts add to the shift that was fitted to these changes, see `Differences`."""
        found = Differences.fit(changes.within, self.shift)
        if found.contexts:
            self.differing_contexts_, self.differing_genes_ = found.contexts, found.genes
            self.differences_ = found.values

    def shift_in_context(self, perturbation: Perturbation) -> np.ndarray:
        """Return the shift, with what the context adds to it where that is known, (genes,)."""
        if "differing_contexts_" not in vars(self):
            return self.shift(perturbation)
        found = Differences(self.differing_contexts_, self.differing_genes_, self.differences_)
        return self.shift(perturbation) + found.of(perturbation)

    def predict_mean(self, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Add the shift of each perturbation to the mean control cell, and cut at zero."""
        self.require_fitted()
        for perturbation in perturbations:
            mean = self.control_mean(perturbation.context) + self.shift_in_context(perturbation)
            yield np.maximum(mean, 0)

    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Move the control cells to the mean of each perturbation, see `benchmark.means`."""
        from scipy import sparse

        self.require_fitted()
        cells = MovableCells(control.X.toarray() if sparse.issparse(control.X) else np.asarray(control.X))
        for mean in self.predict_mean(perturbations):
            yield cells.to(mean).astype(np.float32)
