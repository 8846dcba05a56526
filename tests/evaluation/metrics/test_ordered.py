"""What is said of values by their order is what SciPy and scikit-learn say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmark.evaluation.metrics.ordered import (
    average_precision,
    average_ranks,
    false_discovery_rates,
    roc_area,
)

VALUES = st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 1e-300, 3.5]), min_size=1, max_size=40).map(np.array)
LISTS = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40).map(
    lambda rows: (np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=float))
)


def test_by_hand():
    np.testing.assert_array_equal(average_ranks(np.array([3.0, 1.0, 3.0, 0.0])), [3.5, 2, 3.5, 1])
    np.testing.assert_allclose(false_discovery_rates(np.array([0.04, 0.01, 0.03])), [0.04, 0.03, 0.04])
    positive, scores = np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 2.0])
    assert average_precision(positive, scores) == (1 + 2 / 4) / 2
    assert roc_area(positive, scores) == (2 + 0.5) / 4


@given(VALUES)
def test_ranks_are_scipys(values):
    np.testing.assert_array_equal(average_ranks(values), rankdata(values))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40).map(np.array))
def test_rates_are_scipys_to_the_last_bit(p_values):
    np.testing.assert_array_equal(false_discovery_rates(p_values), false_discovery_control(p_values))


@given(LISTS)
def test_areas_are_those_of_scikit_learn(rows):
    positive, scores = rows
    if positive.any():
        expected = average_precision_score(positive, scores)
        assert average_precision(positive, scores) == pytest.approx(expected, rel=1e-12)
    if positive.any() and not positive.all():
        assert roc_area(positive, scores) == pytest.approx(roc_auc_score(positive, scores), rel=1e-12)
