"""Trees by hand and against scikit-learn, and when some are grown."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmark.perturbation import Perturbation
from methods._trees import NO_TREES, Trees, grow
from methods.boosted import Boosted, BoostedConfig
from methods.main_effects import MainEffects
from tests.methods.overlap.overlap_case import add, changes, divided, error, saturate

QUICK = BoostedConfig(trees=30, learning_rate=0.2)


@pytest.fixture(scope="module")
def saturated():
    """A method that was fitted where effects saturate, and what it was fitted on."""
    train, validation, asked = divided(changes(saturate, noise=0.05))
    return Boosted(QUICK).fit(train, validation), train, validation, asked


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


def test_trees_are_grown_where_effects_saturate(saturated):
    method, train, validation, asked = saturated
    assert len(method.value_) == 30
    assert error(method, asked) < 0.7 * error(MainEffects().fit(train, validation), asked)


def test_no_trees_are_grown_where_effects_add_up():
    train, validation, asked = divided(changes(add, noise=0.1))
    method = Boosted(QUICK).fit(train, validation)
    assert len(method.value_) == 0
    for double in asked.perturbations:
        a, b = (method.effects_[method.genes_.index(gene)] for gene in double.genes)
        np.testing.assert_allclose(method.shift(double), method.intercept_ + a + b)


def test_trees_say_nothing_of_singles_and_of_unknown_genes(saturated):
    method = saturated[0]
    single = method.intercept_ + method.effects_[method.genes_.index("P1")]
    np.testing.assert_allclose(method.shift(Perturbation(("P1",))), single)
    np.testing.assert_allclose(method.shift(Perturbation(("P1", "Z"))), single)


def test_the_same_cells_give_the_same_trees_whatever_the_seed(saturated):
    method, train, validation, asked = saturated
    again = Boosted(QUICK, seed=7).fit(train, validation)
    for double in asked.perturbations:
        np.testing.assert_array_equal(again.shift(double), method.shift(double))


def test_trees_are_saved_and_loaded(saturated, tmp_path):
    method, _, _, asked = saturated
    method.save(tmp_path / "method")
    loaded = Boosted.load(tmp_path / "method")
    for double in asked.perturbations:
        np.testing.assert_array_equal(loaded.shift(double), method.shift(double))
