"""Ridge regression as in main effects, and a few shared coefficients for how two effects overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np

from benchmark.config import MethodConfig, parameter
from methods._effects import BASES, FOLDS, Base, Folds
from methods._overlap import (
    N_SHAPES,
    Examples,
    Learner,
    Overlap,
    OverlapMethod,
    chosen,
    examples,
    held_out_errors,
)

Terms = Literal["none", "three", "fifteen"]
N_COEFFICIENTS: Mapping[Terms, int] = {"none": 0, "three": 3, "fifteen": N_SHAPES}


class SaturationConfig(MethodConfig):
    """What is chosen on the doubles unless it is given."""

    base: Base | None = parameter(
        None,
        search=BASES,
        help="One ridge penalty (plain), or one for each principal component of mean changes (components).",
    )
    terms: Terms | None = parameter(
        None,
        search=tuple(N_COEFFICIENTS),
        help="Coefficients for overlap; none are used with fewer than 12 doubles to learn from.",
    )


class Saturation(OverlapMethod):
    """Main effects that need not add up: two genes that do the same may do less than the sum together.

    The base is a ridge regression of the mean change on which genes are perturbed, with one penalty or with
    one for each principal component of the mean changes. To the sum of two effects a and b on a gene comes
    c1 (a + b) + c2 same + c3 opposite, where `same` is the smaller of the two (in size) if their signs agree,
    `opposite` the smaller one if they differ, else 0; or a sum of fifteen such shapes (`methods._overlap`).
    The coefficients are the same for all genes and doubles: least squares over doubles whose effects come
    from a base that has not seen them. A single is predicted by the base, and so is a double with a gene that
    was not perturbed in training.

    Everything is chosen by six-fold cross-validation on training and validation doubles, for which the base
    is fitted again without those that are asked: the base of least error, and coefficients only where their
    lead over none is clear (1.645 standard errors over doubles). With fewer than 12 doubles it is
    `main_effects`. Of several contexts the changes are pooled, and what each differs in is added (partial
    pooling, see docs/transfer.md). The idea and its measurement are this project's own.
    """

    name = "saturation"
    Config = SaturationConfig
    config: SaturationConfig
    terms_: Terms
    coefficients_: np.ndarray

    def bases(self) -> Sequence[Base]:
        """The base that is set, or all."""
        return BASES if self.config.base is None else (self.config.base,)

    def learn_nothing(self) -> None:
        """Keep no coefficients."""
        self.terms_, self.coefficients_ = "none", np.zeros(0)

    def learn(self, folds: Folds) -> None:
        """Choose how many coefficients there are, then fit them to all doubles."""
        self.terms_ = self.config.terms or self._best_terms(folds)
        given = [examples(folds, fold) for fold in range(FOLDS)]
        self.coefficients_ = coefficients(given, N_COEFFICIENTS[self.terms_])

    def overlap(self, shapes: np.ndarray) -> np.ndarray:
        """Sum the shapes, each with its coefficient."""
        return shapes[:, : len(self.coefficients_)] @ self.coefficients_

    @staticmethod
    def _best_terms(folds: Folds) -> Terms:
        learners: dict[Terms, Learner] = {terms: partial(_learn, n=n) for terms, n in N_COEFFICIENTS.items()}
        return chosen(held_out_errors(folds, learners), "none")


def coefficients(given: Sequence[Examples], n: int) -> np.ndarray:
    """Fit the coefficients of the first shapes by least squares.

    Returns
    -------
    numpy.ndarray
        (n,); the least ones where shapes cannot be told apart.
    """
    gram, moments = np.zeros((n, n)), np.zeros(n)
    for part in given:
        rows = part.shapes.reshape(-1, N_SHAPES)[:, :n]
        gram += rows.T @ rows
        moments += rows.T @ part.missed.ravel()
    return np.linalg.lstsq(gram, moments, rcond=None)[0]


def _learn(given: Sequence[Examples], n: int) -> Overlap:
    fitted = coefficients(given, n)
    return lambda asked: asked[..., :n] @ fitted
