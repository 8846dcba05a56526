"""Differences are paired by perturbation, turned the right way, and corrected together."""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.statistics import holm
from benchmark.studies.order.statistics import compare, pair

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


def test_the_family_of_the_correction_is_the_metrics_of_one_comparison():
    rng = np.random.default_rng(2)
    labels = [f"p{index}" for index in range(20)]
    names = ("mse", "pearson", "direction_balanced")

    def arm(shift):
        return {0: {name: {label: rng.normal(shift) for label in labels} for name in names}}

    found = compare(arm(0.4), arm(0.0), names)
    assert [each.metric for each in found] == list(names)
    assert [each.corrected for each in found] == holm([each.p for each in found])
