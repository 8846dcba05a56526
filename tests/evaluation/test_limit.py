"""The limit is what the true means would score, which is known of simulated cells and in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.evaluation.limit import draw_true_changes, error_of_mean

GENES = 4000


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


@pytest.fixture(params=["normal", "few genes change", "no gene changes"])
def changes(request) -> np.ndarray:
    rng = np.random.default_rng(1)
    wide = rng.normal(0, 0.3, GENES)
    if request.param == "normal":
        return wide
    return np.where(rng.random(GENES) < 0.05, 3 * wide, 0.0) * (request.param != "no gene changes")


@pytest.mark.parametrize("n_cells", [10, 30, 60, 300])
def test_draws_of_the_truth_score_what_the_truth_scores(changes, n_cells):
    """Squared error and correlation; of no change at all a little is taken for one."""
    rng = np.random.default_rng(n_cells)
    spread = rng.uniform(0.2, 0.8, GENES)
    error = spread / np.sqrt(n_cells)
    off, right, noise = [], [], []
    for _ in range(20):
        seen = changes + error * rng.standard_normal(GENES)
        (drawn,) = draw_true_changes(seen, error, 1, rng)
        off.append([np.mean((drawn - seen) ** 2), correlation(drawn, seen)])
        right.append([np.mean((changes - seen) ** 2), correlation(changes, seen) if changes.any() else 0.0])
        noise.append(np.mean(error**2))
    estimate, truth = np.mean(off, axis=0), np.mean(right, axis=0)
    assert estimate[0] == pytest.approx(np.mean(noise), rel=0.05)
    assert estimate[0] == pytest.approx(truth[0], rel=0.05)
    assert estimate[1] == pytest.approx(truth[1], abs=0.03 if changes.any() else 0.2)


def test_a_correlation_has_the_limit_of_its_reliability():
    """The square root of the reliability, which Spearman and Brown step up from that of two halves."""
    rng = np.random.default_rng(0)
    true, error = rng.normal(0, 0.3, GENES), np.full(GENES, 0.2)
    halves = [true + np.sqrt(2) * error * rng.standard_normal(GENES) for _ in range(2)]
    of_halves = correlation(*halves)
    reliability = 2 * of_halves / (1 + of_halves)
    (drawn,) = draw_true_changes(np.mean(halves, axis=0), error, 1, rng)
    assert correlation(drawn, np.mean(halves, axis=0)) == pytest.approx(np.sqrt(reliability), abs=0.02)


def test_a_change_without_error_is_known():
    change = np.array([1.0, -2.0, 0.0])
    np.testing.assert_array_equal(
        draw_true_changes(change, np.zeros(3), 2, np.random.default_rng(0)), [change, change]
    )


def test_few_cells_borrow_the_variance_of_control_cells():
    """4 degrees of freedom of their own and 5 cells' worth of the others': (4 * 1 + 5 * 10) / 9 / 5."""
    found = error_of_mean(np.array([1.0]), 5, np.array([10.0]))
    np.testing.assert_allclose(found**2, [(4 + 50) / 9 / 5])
