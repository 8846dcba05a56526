"""The smallest difference that so many pairs would have found, by the formula and by trying."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmark.studies.order.power import smallest_found
from benchmark.studies.order.statistics import compare


def test_the_formula_by_hand():
    """(1.959964 + 0.841621) * 2 / sqrt(16)."""
    assert smallest_found(2.0, 16) == pytest.approx(2.801585 / 2, abs=1e-6)
    assert smallest_found(2.0, 64) == pytest.approx(smallest_found(1.0, 16))
    assert math.isnan(smallest_found(math.nan, 0))


@pytest.mark.parametrize("n", [39, 120])
def test_it_is_found_in_four_of_five_experiments(n):
    """Normal differences of known deviation, a z-test; three binomial deviations of 20,000 experiments."""
    rng, deviation = np.random.default_rng(0), 0.03
    true = smallest_found(deviation, n)
    means = true + deviation / math.sqrt(n) * rng.standard_normal((20_000,))
    found = np.abs(means) / (deviation / math.sqrt(n)) > 1.959964
    assert found.mean() == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 20_000))


def test_the_signed_rank_test_of_the_tables_finds_it_about_as_often():
    """From pairs, with the deviation that each experiment estimates; ranks lose little of normal ones."""
    rng, n, experiments = np.random.default_rng(1), 40, 300
    true = smallest_found(1.0, n)
    labels, found, estimated = [f"p{index}" for index in range(n)], 0, []
    for _ in range(experiments):
        first = {0: {"pearson": dict(zip(labels, rng.normal(true, 1, n), strict=True))}}
        second = {0: {"pearson": dict.fromkeys(labels, 0.0)}}
        (difference,) = compare(first, second, ["pearson"])
        found += difference.p < 0.05
        estimated.append(smallest_found(difference.deviation, difference.n))
    assert found / experiments == pytest.approx(0.78, abs=0.06)
    assert np.mean(estimated) == pytest.approx(true, rel=0.02)


def test_the_deviation_is_that_of_perturbations():
    first = {0: {"pearson": {"a": 0.5, "b": 0.25}}, 1: {"pearson": {"a": 1.0}}}
    second = {0: {"pearson": {"a": 0.0, "b": 0.0}}, 1: {"pearson": {"a": 0.0}}}
    (both,) = compare(first, second, ["pearson"])
    assert both.deviation == pytest.approx(np.std([0.75, 0.25], ddof=1))
    (one,) = compare({1: first[1]}, {1: second[1]}, ["pearson"])
    assert math.isnan(one.deviation)
