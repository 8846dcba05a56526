"""Methods that predict one change of the mean per perturbation, and move control cells by it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.means import MovableCells
from benchmark.method import Method
from benchmark.perturbation import Perturbation

if TYPE_CHECKING:
    from anndata import AnnData


class ShiftMethod(Method):
    """The mean of all control cells of a context plus a shift; control cells are moved to that mean.

    `fit` of a subclass calls `know_controls`.

    Attributes
    ----------
    control_mean_
        The mean of the control cells that it is given, (genes,); of several contexts the mean over them.
    contexts_, control_means_
        The contexts, where there are several, and the mean of the control cells of each, (contexts, genes).
    """

    draws: ClassVar[bool] = False
    supports_contexts: ClassVar[bool] = True
    control_mean_: np.ndarray
    contexts_: list[str]
    control_means_: np.ndarray

    def know_controls(self, controls: Mapping[str, np.ndarray]) -> None:
        """Keep the mean of the control cells of each context, (genes,)."""
        if len(controls) == 1:
            (self.control_mean_,) = controls.values()
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
        contexts = vars(self).get("contexts_", [context])
        if context not in contexts:
            raise BenchmarkError(
                f"{self.name} was given no control cells of the context '{context}'; fit it on some."
            )
        return self.control_means_[contexts.index(context)] if len(contexts) > 1 else self.control_mean_

    @abstractmethod
    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the change of mean expression, (genes,), log1p CP10K."""

    def predict_mean(self, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Add the shift of each perturbation to the mean control cell, and cut at zero."""
        self.require_fitted()
        for perturbation in perturbations:
            yield np.maximum(self.control_mean(perturbation.context) + self.shift(perturbation), 0)

    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Move the control cells to the mean of each perturbation, see `benchmark.means`."""
        from scipy import sparse

        self.require_fitted()
        cells = MovableCells(control.X.toarray() if sparse.issparse(control.X) else np.asarray(control.X))
        for mean in self.predict_mean(perturbations):
            yield cells.to(mean).astype(np.float32)
