"""Differences are paired by perturbation, turned the right way, and tested as scipy and the textbooks do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, wilcoxon

from benchmark.order.statistics import compare, holm, interval, pair, signed_rank

nan = float("nan")


def one(metric, **values):
    """Scores of one seed in one metric."""
    return {metric: values}


def test_a_smaller_error_and_a_larger_correlation_are_both_positive():
    mse = pair({0: one("mse", a=1.0)}, {0: one("mse", a=3.0)}, "mse")
    pearson = pair({0: one("pearson", a=0.75)}, {0: one("pearson", a=0.5)}, "pearson")
    assert (mse.values.tolist(), pearson.values.tolist()) == ([2.0], [0.25])
    assert (mse.second, pearson.second) == (3.0, 0.5)


def test_a_perturbation_of_several_seeds_counts_once_with_its_mean():
    first = {0: one("pearson", a=0.5, b=0.25), 1: one("pearson", a=1.0, c=0.5)}
    second = {0: one("pearson", a=0.25, b=0.5), 1: one("pearson", a=0.25, c=0.5)}
    found = pair(first, second, "pearson")
    assert found.values.tolist() == [0.5, -0.25, 0.0]  # a: (1/4 + 3/4) / 2; b; c
    assert found.by_seed == {0: 0.0, 1: 0.375}


def test_undefined_pairs_are_left_out_and_counted():
    first = {0: one("pearson", a=nan, b=0.5, c=0.5), 1: one("pearson", a=0.5)}
    second = {0: one("pearson", a=0.0, b=nan, c=0.25), 1: one("pearson", a=0.0)}
    found = pair(first, second, "pearson")
    assert found.values.tolist() == [0.5, 0.25]  # a is defined in seed 1
    assert found.undefined == 2
    assert found.second == 0.125


def test_a_seed_that_one_arm_lacks_is_left_out():
    found = pair({0: one("mse", a=1.0), 1: one("mse", a=1.0)}, {1: one("mse", a=2.0)}, "mse")
    assert found.by_seed == {1: 1.0}


def test_arms_that_are_nowhere_defined_together_have_no_numbers():
    (found,) = compare({0: one("mse", a=nan)}, {0: one("mse", a=1.0)}, ["mse"])
    assert (found.n, found.undefined) == (0, 1)
    assert np.isnan([found.mean, found.low, found.high, found.p, found.corrected, found.better]).all()


def test_shares_count_ties_for_neither_side():
    first = {0: one("pearson", a=0.5, b=0.5, c=0.25, d=0.75)}
    second = {0: one("pearson", a=0.25, b=0.5, c=0.5, d=0.5)}
    (found,) = compare(first, second, ["pearson"])
    assert (found.better, found.worse, found.n) == (0.5, 0.25, 4)
    assert found.mean == 0.0625


def test_the_signed_rank_test_is_exact_for_few_perturbations():
    """All five differences positive: 2 of 2^5 sign patterns are as extreme."""
    assert signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(2 / 2**5)


def test_one_of_four_against_the_rest_by_counting_sign_patterns():
    """Ranks 1 to 4, rank 1 negative: W = 1; patterns with sum of negatives <= 1: {} and {1}; twice 2/16."""
    assert signed_rank(np.array([-1.0, 2.0, 3.0, 4.0])) == pytest.approx(4 / 16)


def test_the_signed_rank_test_agrees_with_scipy_with_zeros_and_ties():
    rng = np.random.default_rng(3)
    values = np.round(rng.normal(0.2, 1, 60), 1)
    assert (values == 0).any()
    assert signed_rank(values) == wilcoxon(values, zero_method="pratt").pvalue
    assert signed_rank(np.zeros(7)) == 1.0


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


def test_intervals_are_seeded_and_of_one_value_have_no_width():
    values = np.random.default_rng(0).normal(size=12)
    assert interval(values) == interval(values)
    assert interval(values) != interval(values, seed=1)
    assert interval(np.array([0.5])) == (0.5, 0.5)


def test_the_family_of_the_correction_is_the_metrics_of_one_comparison():
    rng = np.random.default_rng(2)
    labels = [f"p{index}" for index in range(20)]
    names = ("mse", "pearson", "direction")

    def arm(shift):
        return {0: {name: {label: rng.normal(shift) for label in labels} for name in names}}

    found = compare(arm(0.4), arm(0.0), names)
    assert [each.metric for each in found] == list(names)
    assert [each.corrected for each in found] == holm([each.p for each in found])
