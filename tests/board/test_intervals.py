"""Intervals of the board cover what they estimate, and count a perturbation once."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.board import estimate


def named(values) -> dict[str, float]:
    """Scores of perturbations p0, p1 and so on."""
    return {f"p{index}": float(value) for index, value in enumerate(values)}


def interval(per_seed):
    """The estimate of one metric."""
    return estimate([{"mse": values} for values in per_seed])["mse"]


def test_the_interval_covers_the_mean_it_estimates():
    """Over 300 samples of 30 normal values, the 95 % interval holds the true mean 88 to 99 % of the time."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        found = interval([named(rng.normal(1.0, 2.0, 30))])
        hits += found.low <= 1.0 <= found.high
    assert 0.88 < hits / 300 < 0.99


def test_more_perturbations_narrow_the_interval():
    rng = np.random.default_rng(1)
    few, many = (interval([named(rng.normal(size=n))]) for n in (20, 320))
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_the_same_perturbations_in_another_seed_are_no_new_evidence():
    """Four seeds that test the same perturbations with the same scores know no more than one."""
    values = named(np.random.default_rng(2).normal(size=40))
    one, four = interval([values]), interval([values] * 4)
    assert (four.mean, four.low, four.high) == pytest.approx((one.mean, one.low, one.high))


def test_a_bootstrap_of_two_seeds_agrees_with_a_plain_loop():
    """Independent implementation: draw labels with their scores in every seed."""
    rng = np.random.default_rng(3)
    first, second = named(rng.normal(size=12)), named(rng.normal(size=18))
    found = interval([first, second])
    labels, means = sorted(second), []
    for _ in range(4000):
        drawn = rng.choice(labels, len(labels))
        seeds = [[values[label] for label in drawn if label in values] for values in (first, second)]
        means.append(np.mean([np.mean(values) for values in seeds if values]))
    low, high = np.quantile(means, [0.025, 0.975])
    assert found.mean == pytest.approx((np.mean(list(first.values())) + np.mean(list(second.values()))) / 2)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05)
