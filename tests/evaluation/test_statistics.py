"""Intervals, the signed-rank test and Holm's correction do what the textbooks and scipy do."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, rankdata, wilcoxon

from benchmark.evaluation.statistics import draws, holm, interval, middle, signed_rank, weighted_means

nan = float("nan")


def test_the_signed_rank_test_is_exact_for_few_perturbations():
    """All five differences positive: 2 of 2^5 sign patterns are as extreme."""
    assert signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(2 / 2**5)


def test_one_of_four_against_the_rest_by_counting_sign_patterns():
    """Ranks 1 to 4, rank 1 negative: W = 1; patterns with sum of negatives <= 1: {} and {1}; twice 2/16."""
    assert signed_rank(np.array([-1.0, 2.0, 3.0, 4.0])) == pytest.approx(4 / 16)


@pytest.mark.parametrize("n", [1, 2, 6, 9])
def test_few_values_with_zeros_and_ties_get_the_p_value_of_all_signs(n):
    rng = np.random.default_rng(n)
    for values in rng.integers(-2, 3, (6, n)).astype(float):
        ranks = rankdata(np.abs(values)) * (values != 0)
        sums = [(ranks * signs).sum() for signs in product([0, 1], repeat=n)]
        own = (ranks * (values > 0)).sum()
        tail = min(np.mean(np.array(sums) <= own), np.mean(np.array(sums) >= own))
        assert signed_rank(values) == pytest.approx(min(2 * tail, 1))


def test_the_signed_rank_test_agrees_with_scipy_with_zeros_and_ties():
    rng = np.random.default_rng(3)
    values = np.round(rng.normal(0.2, 1, 60), 1)
    assert (values == 0).any()
    assert signed_rank(values) == wilcoxon(values, zero_method="pratt").pvalue
    assert signed_rank(np.zeros(7)) == 1.0


@pytest.mark.parametrize("n", [9, 40, 70])
def test_columns_are_tested_as_if_each_were_alone(n):
    """Also where one has zeros or ties, and another none, or nothing but zeros."""
    rng = np.random.default_rng(n)
    columns = rng.normal(0.2, 1, (n, 4))
    columns[:3, 1], columns[:, 2], columns[:, 3] = 0, 0, columns[:, 3].round(1)
    assert signed_rank(columns).tolist() == [float(signed_rank(column)) for column in columns.T]


def normal_approximation_of_pratt(values):
    """Pratt 1959: rank |d| with zeros, drop their ranks; mean and variance over signs of what is left."""
    from scipy.stats import norm, rankdata

    ranks = rankdata(np.abs(values))[values != 0]
    signs = np.sign(values[values != 0])
    total = (signs * ranks).sum()
    return 2 * norm.sf(abs(total) / np.sqrt((ranks**2).sum()))


def test_zeros_are_ranked_as_pratt_does():
    rng = np.random.default_rng(5)
    values = np.concatenate([np.zeros(10), rng.normal(0.3, 1, 70)])
    assert signed_rank(values) == pytest.approx(normal_approximation_of_pratt(values), rel=1e-6)


def test_holm_by_hand():
    """Sorted .01 .02 .03 .04 times 4 3 2 1 is .04 .06 .06 .04; a later one is never below an earlier one."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    found = holm([nan, 0.02, 0.01])
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx([0.02, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_raw_values_and_bonferroni(p):
    corrected = holm(p)
    bonferroni = np.minimum(1, np.array(p) * len(p))
    assert (np.array(corrected) >= np.array(p)).all()
    assert (np.array(corrected) <= bonferroni).all()
    # It never finds more than control of the false discovery rate does.
    assert (np.array(corrected) >= false_discovery_control(p) - 1e-12).all()


def test_intervals_are_those_of_the_normal_theory_for_many_perturbations():
    values = np.random.default_rng(0).normal(1, 2, 400)
    half = 1.96 * values.std() / 20
    assert interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_intervals_are_the_same_each_time_and_of_one_value_have_no_width():
    values = np.random.default_rng(0).normal(size=12)
    assert interval(values) == interval(values)
    assert interval(np.array([0.5])) == (0.5, 0.5)


def test_draws_are_seeded_and_each_is_a_sample_of_the_same_size():
    drawn = draws(7, 50, seed=3)
    assert drawn.shape == (50, 7)
    assert (drawn.sum(axis=1) == 7).all()
    assert (drawn != draws(7, 50, seed=4)).any()
    with pytest.raises(ValueError, match="read-only"):
        drawn[0, 0] = 1


def test_a_weighted_mean_is_taken_over_perturbations_and_then_over_seeds_by_hand():
    """Weights 1 and 3: seed 0 has (2 + 3 * 4) / 4 = 3.5, seed 1 only the 6; (3.5 + 6) / 2 = 4.75."""
    values = np.array([[[2.0, nan], [4.0, nan]], [[6.0, nan], [nan, nan]]])
    found = weighted_means(values, np.array([[1.0, 3.0], [0.0, 1.0]]))
    assert found[:, 0].tolist() == [4.75, 4.0]
    assert np.isnan(found[:, 1]).all()


def test_a_weighted_mean_where_all_is_defined_by_hand():
    """Weights 1 and 3: (2 + 3 * 4) / 4 = 3.5 and (6 + 3 * 10) / 4 = 9; weights 0 and 1: 4 and 10."""
    values = np.array([[[2.0], [4.0]], [[6.0], [10.0]]])
    assert weighted_means(values, np.array([[1.0, 3.0], [0.0, 1.0]])).tolist() == [[6.25], [7.0]]


def test_a_weighted_mean_does_not_depend_on_what_is_undefined_beside_it():
    rng = np.random.default_rng(6)
    values = rng.normal(size=(3, 12, 2))
    beside = np.concatenate([values, np.where(rng.random((3, 12, 2)) < 0.3, nan, values)], axis=2)
    weights = np.concatenate([draws(12, 40), np.eye(12)])
    expected = np.mean([[np.average(each, axis=0, weights=w) for w in weights] for each in values], axis=0)
    np.testing.assert_allclose(weighted_means(beside, weights)[:, :2], expected)
    nothing = np.zeros((1, 12))
    assert np.isnan(weighted_means(beside, nothing)).all()
    np.testing.assert_allclose(weighted_means(beside, np.concatenate([weights, nothing]))[:-1, :2], expected)


def test_bounds_leave_out_what_is_undefined():
    columns = np.column_stack([np.arange(101.0), np.full(101, nan), [nan, *np.arange(1.0, 101)]])
    low, high = middle(columns)
    assert (low[0], high[0]) == pytest.approx((2.5, 97.5))
    assert np.isnan([low[1], high[1]]).all()
    assert (low[2], high[2]) == pytest.approx((1 + 0.025 * 99, 1 + 0.975 * 99))
