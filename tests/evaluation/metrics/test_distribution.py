"""Claims about the metrics of whole distributions, by hand, by other implementations and in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist

from benchmark.evaluation.metrics import METRICS
from tests.evaluation.metrics.distribution_case import FAMILY, column, drawn, score, sides
from tests.evaluation.metrics.metric_case import response

SCALES = (1 / 4, 1 / 2, 1, 2, 4)


def test_the_family_needs_cells_and_says_in_which_space() -> None:
    """It does not apply to methods that predict means."""
    for name in FAMILY:
        assert METRICS[name].spec.needs == "cells"
        assert METRICS[name].spec.gene_set == "all genes, log1p of counts per 10,000"


def test_all_by_hand_over_one_gene() -> None:
    """Real 0 and 2, predicted 3 and 5: distances 3, 5, 1, 3 between, and 0, 2, 2, 0 within each side.

    The control cells 0 and 2 give the kernel the width 4.
    """
    real, predicted = sides(column(0, 2), column(0, 2), column(3, 5))
    assert score("energy_distance", real, predicted) == pytest.approx(2 * 3 - 1 - 1)
    assert score("wasserstein", real, predicted) == pytest.approx(3)
    assert score("variance_ratio", real, predicted) == pytest.approx(1)
    assert score("variance_error", real, predicted) == pytest.approx(0)
    kernel = {d: np.mean([np.exp(-(d**2) / (4 * s)) for s in SCALES]) for d in (1, 2, 3, 5)}
    assert score("mmd", real, predicted) == pytest.approx(
        2 * kernel[2] - 2 * (2 * kernel[3] + kernel[5] + kernel[1]) / 4
    )


def test_wasserstein_by_hand_with_unequal_numbers_of_cells() -> None:
    """0, 0, 3 against 1, 2: by 1 over the first half, by 2 until two thirds, by 1 over the last third."""
    real, predicted = sides(column(0, 1), column(0, 3, 0), column(2, 1))
    assert score("wasserstein", real, predicted) == pytest.approx(1 / 2 + 2 / 6 + 1 / 3)


@pytest.mark.parametrize(
    ("spread", "ratio", "error"), [(2, 2, 1 / 3), (0.5, 0.5, 1 / 3), (0, 0, 1), (1, 1, 0)]
)
def test_variances_by_hand(spread: float, ratio: float, error: float) -> None:
    """Sums over genes are compared; twice and half are as wrong, and no variance at all is finite."""
    real = response([0, 0, 0], variance=[0.5, 1.5, 1])
    predicted = response([5, 0, 0], variance=[3 * spread, 0, 0])
    assert score("variance_ratio", real, predicted) == pytest.approx(ratio)
    assert score("variance_error", real, predicted) == pytest.approx(error)
    if ratio:
        assert error == pytest.approx(abs(np.tanh(np.log(ratio) / 2)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_other_implementations_say_the_same(seed: int) -> None:
    """SciPy's distances cell by cell, its Wasserstein and energy distance gene by gene, loops for the MMD."""
    real, predicted = drawn(seed)
    x, y = (side.cells.astype(float) for side in (real, predicted))
    expected = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    assert score("energy_distance", real, predicted) == pytest.approx(expected, rel=1e-9)
    by_gene = [stats.wasserstein_distance(x[:, gene], y[:, gene]) for gene in range(x.shape[1])]
    assert score("wasserstein", real, predicted) == pytest.approx(np.mean(by_gene), rel=1e-9)

    control = real.reference.control.values.T.astype(float)
    n = len(control)
    width = np.mean([((control[i] - control[j]) ** 2).sum() for i in range(n) for j in range(n) if i != j])

    def kernel(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.mean([np.exp(-((one - other) ** 2).sum() / (scale * width)) for scale in SCALES]))

    within = np.mean([kernel(x[i], x[j]) for i in range(12) for j in range(12) if i != j])
    between = np.mean([kernel(one, other) for one in x for other in y])
    all_pairs = np.mean([kernel(one, other) for one in y for other in y])
    different = np.mean([kernel(y[i], y[j]) for i in range(9) for j in range(9) if i != j])
    estimate = within - 2 * between + all_pairs - (1 - different) / 12
    assert score("mmd", real, predicted) == pytest.approx(max(estimate, 0), rel=1e-9, abs=1e-12)


def test_over_one_gene_energy_distance_is_scipys_squared() -> None:
    """SciPy integrates the squared difference of the distribution functions."""
    rng = np.random.default_rng(0)
    values = [rng.gamma(2, 1, n).astype(np.float32) for n in (30, 50)]
    real, predicted = sides(column(0, 1), *(side[:, None] for side in values))
    expected = stats.energy_distance(*values) ** 2
    assert score("energy_distance", real, predicted) == pytest.approx(expected, rel=1e-9)


def test_energy_distance_of_two_normal_distributions() -> None:
    """E|N(m, v)| is known for one gene; unit variances 3 apart."""
    rng = np.random.default_rng(3)
    real, predicted = sides(column(0, 1), *(rng.normal(mean, 1, (500, 1)) for mean in (5, 8)))
    spread = np.sqrt(2)
    between = spread * np.sqrt(2 / np.pi) * np.exp(-9 / 4) + 3 * (1 - 2 * stats.norm.cdf(-3 / spread))
    expected = 2 * between - 2 * spread * np.sqrt(2 / np.pi)
    assert score("energy_distance", real, predicted) == pytest.approx(expected, rel=0.05)
    assert score("wasserstein", real, predicted) == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("n", [500, 10])
def test_mmd_of_two_normal_distributions(n: int) -> None:
    """In 20 genes with unit variances and 1 apart in each; on average also with few cells."""
    genes, repeats = 20, 1500 // n
    rng = np.random.default_rng(4)
    control = np.array([[4.0], [4 + np.sqrt(2)]]) * np.ones(genes)  # variance 1 in each gene: the width is 40
    found = [
        score("mmd", *sides(control, *(rng.normal(mean, 1, (n, genes)).clip(0) for mean in (5, 6))))
        for _ in range(repeats)
    ]

    def kernel(squared_shift: float) -> float:
        widths = np.array(SCALES) * 2 * genes
        return float(np.mean((1 + 4 / widths) ** (-genes / 2) * np.exp(-squared_shift / (widths + 4))))

    assert np.mean(found) == pytest.approx(2 * (kernel(0) - kernel(genes)), rel=0.04)


def test_cells_that_avoid_each_other_do_not_earn_a_perfect_mmd() -> None:
    """Two cells on opposite sides of a wrong mean, for which the unbiased estimate is below 0."""
    rng = np.random.default_rng(5)
    control, real = rng.normal(6, 1, (200, 40)), rng.normal(6, 1, (200, 40))
    step = rng.choice([-1, 1], 40)
    wrong = 6 + 0.3 * rng.choice([-1, 1], 40)
    truth, pair, honest = sides(
        control, real, np.array([wrong - step, wrong + step]), rng.normal(6, 1, (200, 40))
    )
    width = 2 * truth.reference.control.variance.sum()

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.mean([np.exp(-cdist(x, y, "sqeuclidean") / (s * width)) for s in SCALES], axis=0)

    x, y = truth.cells.astype(float), pair.cells.astype(float)
    unbiased = (kernel(x, x).sum() - 200) / (200 * 199) - 2 * kernel(x, y).mean() + kernel(y, y)[0, 1]
    assert unbiased < 0
    assert score("mmd", truth, pair) > 0.1 > score("mmd", truth, honest)
