"""Ridge regression as in main effects, and boosted trees for how two effects overlap."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmark.config import MethodConfig, parameter
from methods._effects import FOLDS, Folds
from methods._overlap import (
    N_SHAPES,
    Examples,
    Overlap,
    OverlapMethod,
    chosen,
    examples,
    held_out_errors,
    nothing,
)
from methods._trees import NO_TREES, Trees, grow

MOST_ROWS = 100_000
"""Pairs of a double and a gene that trees are grown on; of more, so many are drawn."""
SMALLEST_LEAF = 200
"""Genes of one double are not independent: a leaf that holds few rows knows one double alone."""


class BoostedConfig(MethodConfig):
    """Size of the trees."""

    trees: int = parameter(100, ge=1, le=2000, search=(30, 300), log=True, help="Trees that are added up.")
    depth: int = parameter(4, ge=1, le=12, search=(2, 6), help="Questions from the root of a tree to a leaf.")
    learning_rate: float = parameter(
        0.05, gt=0, le=1, search=(0.02, 0.2), log=True, help="How much of each tree is added."
    )


class Boosted(OverlapMethod):
    """Main effects, and boosted trees for what two genes do together beyond the sum.

    As `saturation`, with histogram gradient boosting of scikit-learn in the place of shared coefficients:
    one model for all genes learns from rows of one double and one gene, the same fifteen shapes of the two
    effects, what the sum of the effects misses. The effects come from a base that has not seen the double.
    Where six-fold cross-validation on training and validation doubles shows no clear lead over no trees
    at all, there are none. It draws no random numbers that depend on the seed of a run.
    """

    name = "boosted"
    Config = BoostedConfig
    config: BoostedConfig
    start_: float
    feature_: np.ndarray
    threshold_: np.ndarray
    children_: np.ndarray
    value_: np.ndarray
    depth_: int

    def learn_nothing(self) -> None:
        """Keep no trees."""
        self._keep(NO_TREES)

    def learn(self, folds: Folds) -> None:
        """Grow trees where they predict held-out doubles better than none."""
        learners = {"none": nothing, "trees": self._learn}
        if chosen(held_out_errors(folds, learners), "none") == "trees":
            self._keep(self._grown([examples(folds, fold) for fold in range(FOLDS)]))
        else:
            self.learn_nothing()

    def overlap(self, shapes: np.ndarray) -> np.ndarray:
        """Ask the trees about every gene."""
        kept = (self.feature_, self.threshold_, self.children_, self.value_)
        return _said(Trees(self.start_, *kept, self.depth_), shapes)

    def _keep(self, grown: Trees) -> None:
        self.start_, self.depth_ = grown.start, grown.depth
        self.feature_, self.threshold_ = grown.feature, grown.threshold
        self.children_, self.value_ = grown.children, grown.value

    def _learn(self, given: Sequence[Examples]) -> Overlap:
        return partial(_said, self._grown(given))

    def _grown(self, given: Sequence[Examples]) -> Trees:
        rows = np.concatenate([part.shapes.reshape(-1, N_SHAPES) for part in given])
        targets = np.concatenate([part.missed.ravel() for part in given])
        usable = np.flatnonzero(rows.any(axis=1))
        if not len(usable):
            return NO_TREES
        if len(usable) > MOST_ROWS:
            usable = np.sort(np.random.default_rng(0).choice(usable, MOST_ROWS, replace=False))
        return grow(
            rows[usable],
            targets[usable],
            trees=self.config.trees,
            depth=self.config.depth,
            learning_rate=self.config.learning_rate,
            smallest_leaf=SMALLEST_LEAF,
        )


def _said(grown: Trees, asked: np.ndarray) -> np.ndarray:
    """What trees add, (..., 15) -> (...): nothing where a gene is not known, which makes all shapes zero."""
    rows = asked.reshape(-1, N_SHAPES)
    return np.where(rows.any(axis=1), grown.predict(rows), 0.0).reshape(asked.shape[:-1])
