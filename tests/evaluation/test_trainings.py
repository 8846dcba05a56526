"""Intervals over trainings and perturbations hold what they say, and need trainings that differ."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.board.intervals import mean_and_bounds
from benchmark.evaluation.trainings import training_variance, two_sided, widened


def simulated(rng: np.random.Generator, trainings: int, spread: float) -> np.ndarray:
    """Scores around 0 of some trainings, each tested on 20 of 60 perturbations that differ by 1."""
    of_perturbations = rng.normal(0, 1, 60)
    values = np.full((trainings, 60), np.nan)
    for row, effect in zip(values, rng.normal(0, spread, trainings), strict=True):
        tested = rng.permutation(60)[:20]
        row[tested] = effect + of_perturbations[tested] + rng.normal(0, 0.3, 20)
    return values


def test_the_variance_of_trainings_by_hand():
    """All are tested on the same three perturbations and differ by 0, 1 and 2 throughout."""
    values = np.add.outer([0.0, 1.0, 2.0], [5.0, 7.0, 1.0])
    alike = np.tile(values[:1], (3, 1))
    np.testing.assert_allclose(training_variance(np.stack([values, alike], axis=-1)), [1, 0], atol=1e-12)


def test_it_is_right_on_average_with_perturbations_that_few_share():
    rng = np.random.default_rng(0)
    found = [training_variance(simulated(rng, 5, 0.5)[..., None]) for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize(("trainings", "least_gain"), [(3, 0.15), (5, 0.1)])
def test_intervals_cover_what_they_should_where_those_over_perturbations_do_not(trainings, least_gain):
    rng = np.random.default_rng(1)
    narrow, wide = [], []
    for _ in range(300):
        values = simulated(rng, trainings, 0.5)
        mean, low, high = mean_and_bounds(values[..., None])
        found = widened(mean, low, high, values[..., None])
        narrow.append(low[0] <= 0 <= high[0])
        wide.append(found.low[0] <= 0 <= found.high[0])
    assert 0.9 <= np.mean(wide) <= 0.985
    assert np.mean(wide) - np.mean(narrow) > least_gain


def test_without_a_difference_between_trainings_nothing_is_widened_much():
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(50):
        values = simulated(rng, 4, 0.0)
        mean, low, high = mean_and_bounds(values[..., None])
        shares.append(widened(mean, low, high, values[..., None]).share)
    assert np.median(shares) < 0.05


@pytest.mark.parametrize("values", [np.zeros((2, 9)), np.where(np.eye(3) > 0, 1.0, np.nan)])
def test_two_trainings_or_none_that_share_a_perturbation_tell_nothing(values):
    mean, low, high = (np.array([number]) for number in (0.0, -1.0, 1.0))
    found = widened(mean, low, high, values[..., None])
    assert np.isnan(training_variance(values[..., None]))
    assert (found.low, found.high) == (low, high)
    assert np.isnan(found.share)
    assert np.isnan(two_sided(mean, found))


def test_the_p_value_is_that_of_the_interval():
    """Where the interval ends at 0, p is .05."""
    values = np.add.outer([0.0, 1.0, 2.0], np.arange(8.0))[..., None]
    found = widened(np.array([1.0]), np.array([0.5]), np.array([1.5]), values)
    assert two_sided((found.high - found.low) / 2, found) == pytest.approx(0.05)
