"""Trees by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from methods._trees import NO_TREES, Trees, grow
from methods.boosted import Boosted
from tests.methods.overlap.overlap_case import QUICK, changes, divided, saturate


def test_a_sum_of_two_trees_by_hand():
    """The first asks x0 <= 1, then x1 <= 0 on the left; the second is a single leaf."""
    trees = Trees(
        start=10.0,
        feature=np.array([[0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]),
        threshold=np.array([[1.0, 0.0, 0, 0, 0], [0.0, 0, 0, 0, 0]]),
        children=np.array([[[1, 3, 2, 3, 4], [0] * 5], [[2, 4, 2, 3, 4], [0] * 5]]),
        value=np.array([[0.0, 0, 1, 2, 3], [0.5, 0, 0, 0, 0]]),
        depth=2,
    )
    rows = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 5.0]])
    np.testing.assert_array_equal(trees.predict(rows), [11.5, 12.5, 13.5])


def test_no_trees_say_nothing():
    np.testing.assert_array_equal(NO_TREES.predict(np.ones((3, 2))), np.zeros(3))


def test_trees_that_are_kept_as_arrays_predict_what_scikit_learn_does():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 4))
    targets = np.sin(3 * rows[:, 0]) * rows[:, 1] + 5
    model = HistGradientBoostingRegressor(
        max_iter=20, max_depth=5, max_leaf_nodes=None, learning_rate=0.3, min_samples_leaf=7, random_state=0
    ).fit(rows, targets)
    trees = grow(rows, targets, trees=20, depth=5, learning_rate=0.3, smallest_leaf=7)
    asked = rng.normal(size=(300, 4))
    np.testing.assert_allclose(trees.predict(asked), model.predict(asked), rtol=1e-12)


def test_the_same_cells_give_the_same_trees_whatever_the_seed():
    train, validation, asked = divided(changes(saturate, noise=0.05))
    method, again = (Boosted(QUICK, seed=seed).fit(train, validation) for seed in (0, 7))
    for double in asked.perturbations:
        np.testing.assert_array_equal(again.shift(double), method.shift(double))
