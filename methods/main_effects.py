"""Ridge regression of the mean change on which genes are perturbed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
from anndata import AnnData
from sklearn.linear_model import Ridge

from benchmark.config import MethodConfig, parameter
from benchmark.perturbation import Perturbation
from methods._pseudobulk import (
    Changes,
    held_out_changes,
    mean_changes,
    perturbed_gene_indicators,
    reason_if_none,
)
from methods._shift import ShiftMethod

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class MainEffectsConfig(MethodConfig):
    """One number: how strongly the effects are shrunk."""

    penalty: float | None = parameter(
        None,
        ge=0,
        search=(0.01, 100.0),
        log=True,
        help="Ridge penalty; left out, the best of 0.01 to 100 on the validation perturbations is taken.",
    )


class MainEffects(ShiftMethod):
    """One effect per perturbed gene, estimated from singles and doubles together.

    The mean change of a perturbation is an intercept plus the effects of its genes; a gene that no
    training perturbation names adds nothing to the intercept, which is the mean training change.
    Of a perturbation without any gene that it names nothing is known.
    The penalty is chosen by training on the training perturbations alone and predicting the
    validation ones; the final fit uses both. Of several contexts the changes are pooled, and what each
    differs in is added (partial pooling, see docs/transfer.md).
    """

    name = "main_effects"
    version = "2"
    Config = MainEffectsConfig

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Choose the penalty, then fit all perturbations."""
        changes = mean_changes(train, validation)
        penalty = self.config.penalty
        best = self._best_penalty(train, validation) if penalty is None else penalty
        self.know_controls(changes.controls)
        self.fit_changes(changes, best)
        self.know_differences(changes)
        return self

    def fit_changes(self, changes: Changes, penalty: float) -> Self:
        """Fit mean changes with a given penalty."""
        self.penalty_ = penalty
        self.control_mean_ = changes.control_mean
        self.genes_ = changes.genes
        ridge = _fitted(changes, self.genes_, penalty)
        self.effects_, self.intercept_ = ridge.coef_.T, ridge.intercept_
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a perturbation none of whose genes was perturbed in training."""
        return reason_if_none(perturbation, self.genes_, "was perturbed in training")

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the intercept plus the effects of the perturbed genes."""
        return self.intercept_ + (perturbed_gene_indicators((perturbation,), self.genes_) @ self.effects_)[0]

    def own_effects(self, perturbation: Perturbation) -> np.ndarray:
        """Effects of the perturbed genes, the larger one of each measured gene first.

        Returns
        -------
        numpy.ndarray
            (2, genes); zero for the second gene of a single, and for genes not perturbed in training.
        """
        own = perturbed_gene_indicators((perturbation,), self.genes_)[0]
        effects = np.zeros((2, self.effects_.shape[1]))
        named = self.effects_[np.flatnonzero(own)]
        effects[: len(named)] = named
        return np.take_along_axis(effects, np.argsort(-np.abs(effects), axis=0, kind="stable"), axis=0)

    @staticmethod
    def _best_penalty(train: AnnData, validation: AnnData) -> float:
        """The penalty of least squared error on the validation perturbations."""
        known, held_out = mean_changes(train), held_out_changes(train, validation)
        if held_out is None:
            return 1.0
        asked = perturbed_gene_indicators(held_out.perturbations, known.genes)

        def error(penalty: float) -> float:
            predicted = _fitted(known, known.genes, penalty).predict(asked)
            return float(np.mean((predicted - held_out.values) ** 2))

        return min(PENALTIES, key=error)


def _fitted(changes: Changes, genes: list[str], penalty: float) -> Ridge:
    return Ridge(alpha=penalty).fit(perturbed_gene_indicators(changes.perturbations, genes), changes.values)


def fitted_without_each(changes: Changes, penalty: float) -> Iterator[tuple[Perturbation, MainEffects]]:
    """Fit the model once for each perturbation, on all the others.

    Parameters
    ----------
    changes
        At least two perturbations.
    penalty
        Of the ridge regression.

    Yields
    ------
    tuple
        A perturbation, and the model that has not seen it.
    """
    for row, perturbation in enumerate(changes.perturbations):
        others = [other for other in range(len(changes.perturbations)) if other != row]
        known = tuple(changes.perturbations[other] for other in others)
        yield (
            perturbation,
            MainEffects().fit_changes(Changes(known, changes.values[others], changes.control_mean), penalty),
        )
