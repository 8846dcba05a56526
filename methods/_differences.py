"""What a context makes of changes beyond what they are in all contexts: partial pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from benchmark.perturbation import Perturbation
from methods._pseudobulk import Changes, perturbed_gene_indicators

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Differences:
    """An intercept and an effect of each perturbed gene for each context, beside those of all contexts.

    They are ridge regressions, on which genes are perturbed, of what pooled changes miss in a context: with
    little shrinkage a context has effects of its own, with much of it those of all. The penalty, one for all
    contexts, is that of least squared error where each condition is left out of the regression of its
    context, in closed form (the residual over one minus the leverage); where none of them is better than no
    difference, there is none. Nor is there one in a context in which nothing was perturbed. This project's
    own.

    Attributes
    ----------
    contexts
        Those that differ; empty where none does.
    genes
        The perturbed genes, alphabetical.
    values
        (contexts, 1 + perturbed genes, genes): intercept and effects, log1p CP10K.
    """

    contexts: list[str]
    genes: list[str]
    values: np.ndarray

    NONE: ClassVar[Differences]

    @classmethod
    def fit(cls, within: Mapping[str, Changes], pooled: Callable[[Perturbation], np.ndarray]) -> Self:
        """Fit what pooled changes miss.

        Parameters
        ----------
        within
            Context -> changes in it; empty where there are not several contexts.
        pooled
            The change of a perturbation, (genes,), as a model says that was fitted to all contexts.
        """
        measured = {context: changes for context, changes in within.items() if changes.perturbations}
        genes = sorted({gene for changes in measured.values() for gene in changes.genes})
        given = [
            _Missed.of(
                _read(changes.perturbations, genes),
                changes.values - np.stack([pooled(each) for each in changes.perturbations]),
            )
            for changes in measured.values()
        ]
        gains = {penalty: sum(each.gain(penalty) for each in given) for penalty in PENALTIES}
        best = max(gains, key=lambda penalty: gains[penalty])
        if gains[best] <= 0:
            return cls.NONE
        return cls(list(measured), genes, np.stack([each.coefficients(best) for each in given]))

    def of(self, perturbation: Perturbation) -> np.ndarray | float:
        """What the context of a perturbation adds to its pooled change, (genes,); 0 where none is known."""
        if perturbation.context not in self.contexts:
            return 0.0
        own = self.values[self.contexts.index(perturbation.context)]
        return (_read((perturbation,), self.genes) @ own)[0]


Differences.NONE = Differences([], [], np.zeros((0, 0, 0)))


def _read(perturbations: Sequence[Perturbation], genes: list[str]) -> np.ndarray:
    """One, then which genes are perturbed, (perturbations, 1 + perturbed genes)."""
    indicators = perturbed_gene_indicators(tuple(perturbations), genes)
    return np.hstack([np.ones((len(indicators), 1)), indicators])


@dataclass(frozen=True)
class _Missed:
    """What is missed in a context, (conditions, genes), and the singular vectors of what is read of it."""

    missed: np.ndarray
    left: np.ndarray
    sizes: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, read: np.ndarray, missed: np.ndarray) -> Self:
        return cls(missed, *np.linalg.svd(read, full_matrices=False))

    def coefficients(self, penalty: float) -> np.ndarray:
        """The ridge regression, (1 + perturbed genes, genes)."""
        shrunk = self.sizes / (self.sizes**2 + penalty)
        return self.right.T @ (shrunk[:, None] * (self.left.T @ self.missed))

    def gain(self, penalty: float) -> float:
        """By how much the squared error falls against no difference, each condition left out of the fit."""
        hat = (self.left * (self.sizes**2 / (self.sizes**2 + penalty))) @ self.left.T
        without = (self.missed - hat @ self.missed) / (1 - np.diag(hat))[:, None]
        return float(np.sum(self.missed**2) - np.sum(without**2))
