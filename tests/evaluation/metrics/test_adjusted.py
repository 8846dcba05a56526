"""Claims about the two DE metrics that boards rank by: by hand, and that ignorance scores nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from benchmark.evaluation.metrics import METRICS
from tests.evaluation.metrics.metric_case import reference, response

OVERLAP, DIRECTION = METRICS["de_overlap_adjusted"], METRICS["direction_balanced"]


def test_overlap_by_hand():
    """k = 2 of 5 genes; {0, 1} and {1, 4} share one: (1/2 - 2/5) / (3/5)."""
    real = response([3, -2, 1, 0, 0], de="xx...")
    predicted = response([0, 2, 0.5, 0, 3])
    assert OVERLAP(real, predicted) == pytest.approx((1 / 2 - 2 / 5) / (3 / 5))


def test_effects_are_measured_against_the_spread_of_the_control_cells():
    """Variances 100 and .01, mean 20.008: 5 / sqrt(102) = .495 is less than 1 / sqrt(2.0108) = .705."""
    against = reference(5, variance=[100, 0.01, 0.01, 0.01, 0.02])
    real = response([0, 1, 0, 0, 0], de=".x...", against=against)
    assert OVERLAP(real, response([5, 1, 0, 0, 0], against=against)) == 1
    assert OVERLAP(real, response([8, 1, 0, 0, 0], against=against)) == pytest.approx(-1 / 4)


def test_among_equal_effects_chance_decides_and_its_expectation_is_the_score():
    """Which genes come first in a file says nothing: equal effects in all score 0, half right ones a half."""
    real = response([9, 8, 1, 1], de="xx..")
    assert OVERLAP(real, response([1] * 4)) == pytest.approx(0)
    assert OVERLAP(real, response([2, 1, 1, 1])) == pytest.approx(((1 + 1 / 3) / 2 - 0.5) / 0.5)
    still = reference(4, variance=0)
    assert OVERLAP(response([9, 1, 1, 1], de="x...", against=still), response([1] * 4, against=still)) == 0


@pytest.mark.parametrize("de", ["....", "xxxx"])
def test_without_a_choice_the_overlap_is_undefined(de):
    assert np.isnan(OVERLAP(response([1, 2, 3, 4], de=de), response([1, 2, 3, 4])))


def test_random_guesses_score_zero_on_average():
    rng = np.random.default_rng(0)
    real = response(rng.normal(size=100), de="x" * 40 + "." * 60)
    found = [OVERLAP(real, response(rng.normal(size=100))) for _ in range(400)]
    assert np.mean(found) == pytest.approx(0, abs=3 * np.std(found) / np.sqrt(400))


def test_direction_by_hand():
    """Of three rising genes two are right, the one falling is wrong: (2/3 + 0) / 2."""
    real = response([1, 2, 3, -1, 5], de="xxxx.")
    assert DIRECTION(real, response([1, 1, -1, 1, -1])) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("sign", "expected"), [(1, 0.5), (-1, 0.5), (0, 0.5)])
def test_one_sign_for_all_scores_half_and_so_does_none(sign, expected):
    real = response([-1] * 9 + [1], de="x" * 10)
    assert DIRECTION(real, response([sign] * 10)) == expected


def test_where_all_genes_fall_the_share_of_these_counts():
    assert DIRECTION(response([-1, -2, -3], de="xxx"), response([-1, -1, 1])) == pytest.approx(2 / 3)
    assert np.isnan(DIRECTION(response([1, 2]), response([1, 2])))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_direction_is_scikit_learns_balanced_accuracy_of_signs(seed):
    rng = np.random.default_rng(seed)
    real, predicted = rng.normal(size=(2, 30))
    real[:2] = 1, -1
    expected = balanced_accuracy_score(real > 0, predicted > 0)
    assert DIRECTION(response(real, de="x" * 30), response(predicted)) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(0.01, 100))
def test_neither_scale_nor_spread_nor_number_of_predicted_cells_matters(seed, factor):
    rng = np.random.default_rng(seed)
    change, guess = rng.normal(size=(2, 30))
    real = response(change, de="x" * 7 + "." * 23)
    other = response(guess * factor, variance=5.0, n_cells=3, de="x" * 30)
    for metric in (OVERLAP, DIRECTION):
        assert metric(real, other) == metric(real, response(guess))
        assert metric(real, real) == 1
