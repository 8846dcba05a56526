"""What the perturbation does elsewhere, with what the context makes of other perturbations."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Self

import numpy as np

from benchmark.config import MethodConfig, parameter
from benchmark.perturbation import Perturbation
from methods._elsewhere import Elsewhere

if TYPE_CHECKING:
    from anndata import AnnData

RANKS = (1, 2, 3, 5, 10)
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class LowRankContextsConfig(MethodConfig):
    """In how many directions contexts differ, and how strongly differences are shrunk."""

    rank: int | None = parameter(
        None,
        ge=1,
        le=100,
        search=(1, 20),
        help="Principal components in which contexts differ.",
    )
    penalty: float | None = parameter(
        None,
        gt=0,
        search=(0.03, 30.0),
        log=True,
        help="Ridge penalty, in units of the mean square of what the components see elsewhere.",
    )


class LowRankContexts(Elsewhere):
    """A low-rank model of context x perturbation, shrunk towards the same change in every context.

    Let x be the mean change of a perturbation over the other contexts, and z its coordinates on the leading
    principal components V of all training changes. The change in context c is x + V D_c z, where D_c is the
    ridge regression of the coordinates of what differs in c on z, over the perturbations that were measured
    there and elsewhere. Strong shrinkage, or a context in which nothing was perturbed, is `same_elsewhere`.

    What the configuration leaves open is one choice for all contexts: that of least squared error where each
    condition is left out of its own regression, in closed form (the residual over one minus the leverage);
    where none is better than no difference, there is none. A perturbation that was measured in no other
    context is refused. Validation perturbations count as training perturbations. This project's own.
    """

    name = "low_rank_contexts"
    Config = LowRankContextsConfig
    config: LowRankContextsConfig

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Choose rank and penalty, then fit what differs in each context."""
        self.know_changes(train, validation)
        pairs = {context: self._pairs(context) for context in self.perturbed_}
        pairs = {context: pair for context, pair in pairs.items() if len(pair[0]) > 1}
        _, _, axes = np.linalg.svd(self.values_ - self.values_.mean(axis=0), full_matrices=False)
        ranks = RANKS if self.config.rank is None else (self.config.rank,)
        penalties = PENALTIES if self.config.penalty is None else (self.config.penalty,)
        choices = list(product((min(rank, len(axes)) for rank in ranks), penalties))
        gains = {choice: sum(_gain(*pair, axes, *choice) for pair in pairs.values()) for choice in choices}
        best = max(gains, key=lambda choice: gains[choice])
        is_set = len(choices) == 1
        self.rank_, self.penalty_ = best if gains[best] > 0 or is_set else (0, PENALTIES[-1])
        self.axes_ = axes[: self.rank_]
        self.differing_ = list(pairs)
        maps = [_map(*pair, self.axes_, self.penalty_) for pair in pairs.values()]
        self.maps_ = np.stack(maps) if maps else np.zeros((0, self.rank_, self.rank_))
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse what was measured in no other context."""
        known = self.rows_elsewhere(perturbation)
        return None if known else "it was measured in no other context in training"

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the change elsewhere plus what differs in the context; of the unknown the mean of all."""
        rows = self.rows_elsewhere(perturbation)
        elsewhere = self.values_[rows].mean(axis=0) if rows else self.values_.mean(axis=0)
        if perturbation.context not in self.differing_:
            return elsewhere
        differs = self.maps_[self.differing_.index(perturbation.context)]
        return elsewhere + (elsewhere @ self.axes_.T) @ differs @ self.axes_

    def _pairs(self, context: str) -> tuple[np.ndarray, np.ndarray]:
        """Changes elsewhere and in a context, (perturbations, genes), of perturbations that have both."""
        elsewhere, here = [], []
        for row, (label, own) in enumerate(zip(self.labels_, self.condition_contexts_, strict=True)):
            others = (
                self.rows_elsewhere(Perturbation(Perturbation.parse(label).genes, context))
                if own == context
                else []
            )
            if others:
                elsewhere.append(self.values_[others].mean(axis=0))
                here.append(self.values_[row])
        empty = np.empty((0, self.values_.shape[1]))
        return np.array(elsewhere) if here else empty, np.array(here) if here else empty


def _map(elsewhere: np.ndarray, here: np.ndarray, axes: np.ndarray, penalty: float) -> np.ndarray:
    """D of coordinates, (rank, rank): what differs is z @ D."""
    seen, differs = elsewhere @ axes.T, (here - elsewhere) @ axes.T
    return np.linalg.solve(_gram(seen, penalty), seen.T @ differs)


def _gain(elsewhere: np.ndarray, here: np.ndarray, axes: np.ndarray, rank: int, penalty: float) -> float:
    """By how much the squared error falls against no difference, each perturbation left out of the fit."""
    seen, differs = elsewhere @ axes[:rank].T, (here - elsewhere) @ axes[:rank].T
    hat = seen @ np.linalg.solve(_gram(seen, penalty), seen.T)
    missed = (differs - hat @ differs) / (1 - np.diag(hat))[:, None]
    return float(np.sum(differs**2) - np.sum(missed**2))


def _gram(seen: np.ndarray, penalty: float) -> np.ndarray:
    gram = seen.T @ seen
    rank = len(gram)
    size = float(np.trace(gram)) / max(rank, 1) or 1.0
    return gram + penalty * size * np.eye(rank)
