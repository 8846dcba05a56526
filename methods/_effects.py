"""Effects of perturbed genes by least squares, of all perturbations or without some of the doubles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.perturbation import Perturbation
from methods._pseudobulk import Changes, perturbed_gene_indicators
from methods.main_effects import PENALTIES, MainEffects

Base = Literal["plain", "components", "learned"]
BASES: tuple[Base, ...] = ("plain", "components")
"""Ridge regressions."""

STRONGER = (*PENALTIES, 300.0, 1000.0)
"""A principal component that is all noise wants a stronger penalty than changes as a whole."""

FOLDS = 6
FEWEST_DOUBLES = 2 * FOLDS
"""Two doubles in each fold; with fewer nothing is chosen on them."""


@dataclass(frozen=True)
class Effects:
    """What each perturbed gene adds to the mean change, log1p CP10K.

    Attributes
    ----------
    names
        The perturbed genes, alphabetical.
    intercept
        (genes,).
    values
        (perturbed genes, genes).
    """

    names: list[str]
    intercept: np.ndarray
    values: np.ndarray

    def of(self, perturbation: Perturbation) -> np.ndarray:
        """Effects of the genes of a perturbation: (its genes that are known, genes)."""
        return self.values[[self.names.index(gene) for gene in perturbation.genes if gene in self.names]]

    def change(self, perturbation: Perturbation) -> np.ndarray:
        """The intercept plus the effects of the perturbed genes, (genes,)."""
        return self.intercept + self.of(perturbation).sum(axis=0)


def fit_effects(changes: Changes, base: Base) -> Effects:
    """Fit an intercept and one effect for each perturbed gene by least squares with a penalty.

    Penalties are those of least squared error on the doubles, each predicted by what is learned from all
    other perturbations, which has a closed form: the residual over one minus the leverage.

    Parameters
    ----------
    changes
        With at least one double.
    base
        ``plain`` has one penalty. ``components`` has one for each principal component of the mean changes,
        so that directions in which genes act strongly are shrunk less than those that are mostly noise.
        ``learned`` is no regression but a descent with the one penalty, see `methods._learned_effects`.
    """
    names = changes.genes
    indicators = perturbed_gene_indicators(changes.perturbations, names)
    doubles = np.array([p.is_double for p in changes.perturbations])
    centre, mean = indicators.mean(axis=0), changes.mean()
    centred = changes.values - mean
    left, sizes, right = np.linalg.svd(indicators - centre, full_matrices=False)
    # Axes of the perturbations instead of those of genes: there are fewer, and they span the same changes.
    variances, axes = np.linalg.eigh(centred @ centred.T)
    errors = _errors(left, sizes, axes * np.sqrt(np.maximum(variances, 0)), doubles)
    judged = errors if base == "components" else errors.sum(axis=1, keepdims=True)
    penalties = np.array(STRONGER)[judged.argmin(axis=0)]
    if base == "learned":
        from methods._learned_effects import learn_effects

        return Effects(names, *learn_effects(changes, float(penalties[0])))
    coefficients = right.T @ (sizes[:, None] / (sizes[:, None] ** 2 + penalties) * (left.T @ axes))
    values = coefficients @ (axes.T @ centred)
    return Effects(names, mean - centre @ values, values)


def _errors(left: np.ndarray, sizes: np.ndarray, scores: np.ndarray, doubles: np.ndarray) -> np.ndarray:
    """Squared error on doubles that were left out one at a time, (penalties, components)."""
    errors = []
    for penalty in STRONGER:
        smoother = (left * (sizes**2 / (sizes**2 + penalty))) @ left.T
        leverage = 1 / len(left) + np.diag(smoother)
        missed = (scores - smoother @ scores) / (1 - leverage)[:, None]
        errors.append(np.sum(missed[doubles] ** 2, axis=0))
    return np.stack(errors)


def own_effects(changes: Changes) -> Effects:
    """Fit the plain base where there are doubles enough; of singles alone take what each does, hardly shrunk.

    No other single says how much of a single's change is noise, so that there is nothing to choose on.
    """
    if count_doubles(changes) >= FEWEST_DOUBLES:
        return fit_effects(changes, "plain")
    return effects_of(MainEffects().fit_changes(changes, PENALTIES[0]))


def effects_of(ridge: MainEffects) -> Effects:
    """The effects of fitted main effects."""
    return Effects(ridge.genes_, ridge.intercept_, ridge.effects_)


def count_doubles(changes: Changes) -> int:
    """How many perturbations are doubles, each counted once wherever it was measured."""
    return len({p for p in changes.perturbations if p.is_double})


class Folds:
    """The doubles in folds, and what a base that has not seen a fold says of it.

    Parameters
    ----------
    changes
        At least `FEWEST_DOUBLES` doubles.
    base
        How effects are fitted.
    """

    def __init__(self, changes: Changes, base: Base) -> None:
        self._changes, self.base = changes, base
        doubles = list(dict.fromkeys(p for p in changes.perturbations if p.is_double))
        # Always the same folds: a baseline is not to depend on the seed of a run. A double is in one fold
        # wherever it was measured, or a base would have seen it in another context.
        folds = np.zeros(len(doubles), dtype=int)
        folds[np.random.default_rng(0).permutation(len(doubles))] = np.arange(len(doubles)) % FOLDS
        fold_of = dict(zip(doubles, folds.tolist(), strict=True))
        self._fold = np.array([fold_of.get(p, -1) for p in changes.perturbations])
        self._fitted: dict[frozenset[int], Effects] = {}

    def effects(self, *left_out: int) -> Effects:
        """Effects of a base that has not seen the doubles of some folds."""
        key = frozenset(left_out)
        if key not in self._fitted:
            kept = np.flatnonzero(~np.isin(self._fold, left_out))
            known = tuple(self._changes.perturbations[row] for row in kept)
            rest = Changes(known, self._changes.values[kept], self._changes.control_mean)
            self._fitted[key] = fit_effects(rest, self.base)
        return self._fitted[key]

    def doubles(self, fold: int) -> tuple[list[Perturbation], np.ndarray]:
        """The doubles of a fold and their real mean changes, (doubles, genes)."""
        rows = np.flatnonzero(self._fold == fold)
        return [self._changes.perturbations[row] for row in rows], self._changes.values[rows]

    def by_double(self, fold: int, errors: np.ndarray) -> np.ndarray:
        """Means of errors of what `doubles` gives over the contexts of each double, (different doubles,)."""
        different = list(dict.fromkeys(perturbations := self.doubles(fold)[0]))
        if len(different) == len(perturbations):
            return errors
        places = np.array([different.index(p) for p in perturbations])
        return np.bincount(places, errors) / np.bincount(places)

    def unseen(self, perturbation: Perturbation) -> Effects:
        """Effects of a base that has not seen a double; what is in no fold, such as a single, all may see."""
        known = self._changes.perturbations
        fold = int(self._fold[known.index(perturbation)]) if perturbation in known else -1
        return self.effects(fold) if fold >= 0 else self.effects()

    def error(self) -> float:
        """Mean squared error on the doubles of the base alone, each fold predicted without it."""
        wrong = []
        for fold in range(FOLDS):
            perturbations, real = self.doubles(fold)
            wrong.append(real - np.stack([self.effects(fold).change(p) for p in perturbations]))
        return float(np.mean(np.concatenate(wrong) ** 2))
