"""What two perturbed genes do together beyond the sum of their effects, as shapes that all genes share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

from benchmark.perturbation import Perturbation
from methods._effects import BASES, FEWEST_DOUBLES, FOLDS, Base, Effects, Folds, count_doubles, effects_of
from methods._pseudobulk import mean_changes, reason_if_none
from methods._shift import ShiftMethod
from methods.main_effects import MainEffects

if TYPE_CHECKING:
    from anndata import AnnData

N_SHAPES = 15
CLEAR = 1.645
"""Standard errors by which overlap must lead to be taken: by chance it does once in twenty times."""


@dataclass(frozen=True)
class Examples:
    """Doubles as a base sees them that has not seen them.

    Attributes
    ----------
    shapes
        (doubles, genes, 15), see `shapes`.
    missed
        (doubles, genes): the real mean change minus the sum of the effects.
    """

    shapes: np.ndarray
    missed: np.ndarray


Overlap = Callable[[np.ndarray], np.ndarray]
"""Shapes, (..., 15) -> what is added to the sum of the effects, (...)."""
Learner = Callable[[Sequence[Examples]], Overlap]
Choice = TypeVar("Choice", bound=str)


def shapes(effects: Effects, perturbation: Perturbation) -> np.ndarray:
    """Describe for every gene how the effects of two perturbed genes overlap.

    The first three are the sum of the two effects, and the smaller one (in size) where their signs agree and
    where they differ, else 0. Then come the larger one; sum and smaller ones times a size; the signed
    geometric mean where signs agree and differ; and the first ones times what the two genes have in common
    over all measured genes, the cosine of their effects or the ratio of their norms.

    Parameters
    ----------
    effects
        Of a base that has not seen the double, where a model is to learn from it.
    perturbation
        A double.

    Returns
    -------
    numpy.ndarray
        (genes, 15); zero where one of the two perturbed genes is not known.
    """
    own = effects.of(perturbation)
    if len(own) < 2:
        return np.zeros((len(effects.intercept), N_SHAPES))
    order = np.argsort(np.abs(own), axis=0, kind="stable")
    small, large = np.take_along_axis(own, order, axis=0)
    total, root, agree = small + large, np.sqrt(np.abs(small * large)), small * large > 0
    same, opposite = np.where(agree, small, 0.0), np.where(agree, 0.0, small)
    norms = np.linalg.norm(own, axis=1)
    cosine = own[0] @ own[1] / max(norms.prod(), np.finfo(float).tiny)
    ratio = norms.min() / max(norms.max(), np.finfo(float).tiny)
    columns = [total, same, opposite, large]
    columns += [total * np.abs(total), total * np.abs(small), same * np.abs(small)]
    columns += [same * np.abs(large), opposite * np.abs(large)]
    columns += [np.sign(large) * root * agree, np.sign(large) * root * ~agree]
    columns += [cosine * total, cosine * same, cosine * opposite, ratio * total]
    return np.stack(columns, axis=1)


def examples(folds: Folds, fold: int, *also_left_out: int) -> Examples:
    """Describe the doubles of a fold by a base that has seen neither it nor some other folds."""
    effects = folds.effects(fold, *also_left_out)
    perturbations, real = folds.doubles(fold)
    return Examples(
        np.stack([shapes(effects, p) for p in perturbations]),
        real - np.stack([effects.change(p) for p in perturbations]),
    )


def nothing(given: Sequence[Examples]) -> Overlap:
    """Learn to add nothing to the sum of the effects."""
    return lambda asked: np.zeros(asked.shape[:-1])


def held_out_errors(folds: Folds, learners: Mapping[Choice, Learner]) -> dict[Choice, np.ndarray]:
    """Cross-validate what is learned about overlap.

    What is learned from has effects that saw neither the double itself nor those that are asked.

    Returns
    -------
    dict
        Learner -> mean squared error of each double, (doubles,).
    """
    errors: dict[Choice, list[np.ndarray]] = {name: [] for name in learners}
    for fold in range(FOLDS):
        given = [examples(folds, other, fold) for other in range(FOLDS) if other != fold]
        asked = examples(folds, fold)
        for name, learn in learners.items():
            wrong = asked.missed - learn(given)(asked.shapes)
            errors[name].append(np.mean(wrong**2, axis=1))
    return {name: np.concatenate(parts) for name, parts in errors.items()}


def chosen(errors: Mapping[Choice, np.ndarray], simplest: Choice) -> Choice:
    """Choose the least mean error among those whose lead over the simplest choice is clear.

    Parameters
    ----------
    errors
        Choice -> squared error of each double, (doubles,).
    simplest
        What is chosen where no lead is clear.
    """
    leads = {name: errors[simplest] - wrong for name, wrong in errors.items() if name != simplest}
    clear = [
        name for name, lead in leads.items() if lead.mean() > CLEAR * lead.std(ddof=1) / np.sqrt(len(lead))
    ]
    return min(clear, key=lambda name: float(errors[name].mean()), default=simplest)


class OverlapMethod(ShiftMethod):
    """The sum of the effects of a base, and for doubles of two known genes what is learned about overlap."""

    base_: Base
    genes_: list[str]
    intercept_: np.ndarray
    effects_: np.ndarray

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Choose the base, then what is known about overlap, by cross-validation on the doubles."""
        changes = mean_changes(train, validation)
        self.know_controls(changes.controls)
        if count_doubles(changes) < FEWEST_DOUBLES:
            self.base_, effects = "plain", effects_of(MainEffects().fit(train, validation))
            self.learn_nothing()
        else:
            bases = [Folds(changes, base) for base in self.bases()]
            folds = min(bases, key=lambda each: each.error()) if len(bases) > 1 else bases[0]
            self.base_, effects = folds.base, folds.effects()
            self.learn(folds)
        self.genes_, self.intercept_, self.effects_ = effects.names, effects.intercept, effects.values
        self.know_differences(changes)
        return self

    def bases(self) -> Sequence[Base]:
        """The bases to choose from."""
        return BASES

    @abstractmethod
    def learn_nothing(self) -> None:
        """Know nothing about overlap."""

    @abstractmethod
    def learn(self, folds: Folds) -> None:
        """Learn about overlap from the doubles, or find that nothing can be learned."""

    @abstractmethod
    def overlap(self, shapes: np.ndarray) -> np.ndarray:
        """What is added to the sum of the effects, (genes,), from shapes, (genes, 15)."""

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a perturbation none of whose genes was perturbed in training."""
        return reason_if_none(perturbation, self.genes_, "was perturbed in training")

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the intercept plus the effects of the perturbed genes plus their overlap."""
        effects = Effects(self.genes_, self.intercept_, self.effects_)
        change = effects.change(perturbation)
        return change + self.overlap(shapes(effects, perturbation)) if perturbation.is_double else change
