"""Claims about coverage and calibration: hand-computed, and against cells whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from benchmark.evaluation.metrics import METRICS, Response, headline_metrics
from tests.evaluation.metrics.metric_case import differential_expression, evaluate, reference, response

NAMES = ("interval_coverage_50", "interval_coverage_95", "calibration_error")


def side(mean: list[float], variance: list[float], n_cells: int) -> Response:
    """Build one side of which only cells, means and variances matter."""
    return response(np.array(mean) - 1, against=reference(len(mean)), variance=variance, n_cells=n_cells)


def scores(real: Response, predicted: Response) -> list[float]:
    """Both coverages and the calibration error."""
    return [METRICS[name](real, predicted) for name in NAMES]


def normal_cells(seed: int, n: int, genes: int = 2000, spread: float = 0.5) -> np.ndarray:
    """Draw cells around one mean per gene, which is the same for all seeds, far enough from 0."""
    mean = np.random.default_rng(99).uniform(4, 6, genes)
    return (mean + spread * np.random.default_rng(seed).standard_normal((n, genes))).astype(np.float32)


def scored(real: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Score one perturbation of which `real` are the cells; the controls decide nothing here."""
    table = evaluate(real[:2], {"A": real}, {"A": predicted})
    return {name: table.loc["A", name] for name in NAMES}


def test_coverage_counts_real_means_inside_the_interval_by_hand() -> None:
    """Standard error sqrt(4/16 + 4/4) = 1.118: 95 % reach 2.191, 50 % reach 0.754.

    Distances 0, 0.75, 0.76, 2.19, 2.2 are thus inside in 4 of 5 genes at 95 % and in 2 of 5 at 50 %.
    """
    real = side([5, 5.75, 4.24, 2.81, 7.2], [100] * 5, n_cells=4)
    predicted = side([5] * 5, [4] * 5, n_cells=16)
    assert scores(real, predicted)[:2] == [pytest.approx(2 / 5), pytest.approx(4 / 5)]


def test_calibration_error_averages_the_distance_from_nine_levels_by_hand() -> None:
    """Standard error 1; the real mean is off by 0.6, inside from 45.1 % on: levels 50 to 90 % cover it.

    Distances 0.1 to 0.4 below and 0.5, 0.4, 0.3, 0.2, 0.1 above: (1.0 + 1.5) / 9.
    """
    real, predicted = side([5.6], [0], n_cells=2), side([5], [1], n_cells=2)
    assert scores(real, predicted) == [1.0, 1.0, pytest.approx(2.5 / 9)]


def test_all_or_nothing_has_the_worst_calibration_error() -> None:
    """Never inside, or always: the mean of 10 to 90 %, and of what is left to 100 %, is a half."""
    real = side([5, 6], [1, 1], n_cells=9)
    assert scores(real, side([1, 2], [1, 1], n_cells=9)) == [0, 0, pytest.approx(0.5)]
    assert scores(real, real) == [1, 1, pytest.approx(0.5)]


def test_the_intervals_are_those_of_the_predicted_spread_alone() -> None:
    """What the real cells vary by is not what the prediction claimed."""
    predicted = side([5, 5, 5], [1, 1, 1], n_cells=8)
    means = [5.1, 5.5, 7]
    assert scores(side(means, [0] * 3, 8), predicted) == scores(side(means, [50] * 3, 8), predicted)
    assert scores(side(means, [0] * 3, 8), predicted)[1] == pytest.approx(2 / 3)


def test_genes_that_are_zero_on_both_sides_do_not_count() -> None:
    """Gene 0 is silent on both; gene 1 where it is predicted (missed), gene 2 where it is real (covered)."""
    real, predicted = side([0, 1, 0, 5], [0, 1, 0, 1], 4), side([0, 0, 0.1, 5], [0, 0, 1, 1], 4)
    assert scores(real, predicted)[1] == pytest.approx(2 / 3)


def test_without_any_expressed_gene_there_is_nothing_to_cover() -> None:
    """NaN, as declared, and no warning."""
    silent = side([0, 0], [0, 0], n_cells=3)
    assert np.isnan(scores(silent, silent)).all()


def test_a_gene_without_predicted_spread_is_covered_only_where_it_is_exact() -> None:
    """An interval of no width holds its own middle."""
    assert scores(side([1, 2], [1, 1], 5), side([1, 2.001], [0, 0], 5))[1] == pytest.approx(0.5)


def test_cells_of_the_same_distribution_are_covered_as_often_as_they_should_be() -> None:
    """2,000 independent genes, so shares are known to about 1 %; other numbers of cells change nothing."""
    for seed, (n_real, n_predicted) in enumerate([(400, 100), (100, 400), (200, 2000)]):
        found = scored(normal_cells(10 + seed, n_real), normal_cells(20 + seed, n_predicted))
        assert found["interval_coverage_95"] == pytest.approx(0.95, abs=0.02)
        assert found["interval_coverage_50"] == pytest.approx(0.50, abs=0.04)
        assert found["calibration_error"] < 0.03


def test_sparse_skewed_cells_of_the_same_distribution_are_covered_too() -> None:
    """The mean of many cells is nearly normal whatever one cell is: log counts with many zeros."""
    rng = np.random.default_rng(3)
    rate = rng.uniform(0.2, 3, 1500)
    real, predicted = (np.log1p(rng.poisson(rate, (n, 1500))).astype(np.float32) for n in (300, 200))
    found = scored(real, predicted)
    assert found["interval_coverage_95"] == pytest.approx(0.95, abs=0.025)
    assert found["calibration_error"] < 0.04


def test_cells_that_vary_too_little_cover_too_little_and_too_much_too_much() -> None:
    """Means of n cells each err by hypot(real, claimed) / sqrt(n) where claimed * sqrt(2 / n) is expected."""
    real = normal_cells(1, 200, spread=0.1)
    right = scored(real, normal_cells(2, 200, spread=0.1))
    for claimed in (0.01, 0.6):
        found = scored(real, normal_cells(2, 200, spread=claimed))
        ratio = claimed * np.sqrt(2) / np.hypot(0.1, claimed)
        for level in (0.5, 0.95):
            expected = 2 * stats.norm.cdf(stats.norm.ppf((1 + level) / 2) * ratio) - 1
            assert found[f"interval_coverage_{100 * level:.0f}"] == pytest.approx(expected, abs=0.03)
        assert found["calibration_error"] > 0.1 > 3 * right["calibration_error"]
        assert (found["interval_coverage_95"] > right["interval_coverage_95"]) == (claimed > 0.1)
    assert scored(real, normal_cells(2, 200, spread=0.01))["interval_coverage_95"] < 0.3


def test_a_wrong_mean_lowers_coverage_although_the_spread_is_right() -> None:
    """Every gene is off by 0.2, which is 4 standard errors of either mean."""
    shifted = scored(normal_cells(1, 100), normal_cells(2, 100) + np.float32(0.2))
    assert shifted["interval_coverage_95"] < 0.3
    assert shifted["calibration_error"] > 0.3


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_real=st.integers(2, 30), n_predicted=st.integers(2, 30))
def test_scores_agree_with_a_plain_loop_over_cells_and_genes(
    seed: int, n_real: int, n_predicted: int
) -> None:
    """Independent implementation, from sparse matrices to scores, with silent genes."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0, 2, 15) * (rng.random(15) < 0.8)
    real, predicted = (
        np.log1p(rng.poisson(rate + 0.05 * k, (n, 15))) for k, n in ((0, n_real), (1, n_predicted))
    )
    table = evaluate(
        sparse.csr_matrix(real), {"A": sparse.csr_matrix(real)}, {"A": sparse.csr_array(predicted)}
    )
    reach = []
    for gene in range(15):
        one, other = real[:, gene].astype(np.float32), predicted[:, gene].astype(np.float32)
        if not (one.any() or other.any()):
            continue
        error = np.std(other.astype(float), ddof=1) * np.sqrt(1 / n_predicted + 1 / n_real)
        distance = abs(one.mean(dtype=float) - other.mean(dtype=float))
        reach.append(distance / error if error else (np.inf if distance else 0.0))

    def coverage(level: float) -> float:
        return float(np.mean([r <= stats.norm.ppf((1 + level) / 2) for r in reach]))

    levels = [k / 10 for k in range(1, 10)]
    expected = [
        coverage(0.5),
        coverage(0.95),
        float(np.mean([abs(coverage(level) - level) for level in levels])),
    ]
    found = table.loc["A", list(NAMES)].to_numpy()
    assert found == pytest.approx(np.array(expected) if reach else np.full(3, np.nan), nan_ok=True)


def test_variances_are_those_of_float64_and_do_not_depend_on_the_order_of_cells() -> None:
    """Large steady values with a little noise, where sums of float32 squares would lose all digits."""
    rng = np.random.default_rng(5)
    cells = (9 + 1e-3 * rng.random((700, 600))).astype(np.float32)
    found = differential_expression(cells[:5], cells)
    assert found.n_cells == 700
    assert found.variance == pytest.approx(cells.astype(float).var(axis=0, ddof=1), rel=1e-9)
    again = differential_expression(cells[:5], rng.permutation(cells))
    np.testing.assert_array_equal(again.variance, found.variance)


def test_the_declarations_say_that_nearness_to_nominal_is_best_and_rank_nobody() -> None:
    """Coverage has no better direction, its error has; neither is a headline metric."""
    directions = [METRICS[name].spec.higher_is_better for name in NAMES]
    assert directions == [None, None, False]
    assert not set(NAMES) & set(headline_metrics())
    assert METRICS["calibration_error"].spec.range == (0.0, 0.5)
    assert "1.9600" in METRICS["interval_coverage_95"].spec.formula
    assert "0.6745" in METRICS["interval_coverage_50"].spec.formula
