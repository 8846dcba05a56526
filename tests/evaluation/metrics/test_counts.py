"""Claims about responses of counts, and about squared errors without noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS, Panel, PanelMetric
from benchmark.evaluation.metrics.counts import CountedCells, count_reference, count_response
from tests.evaluation.metrics.metric_case import panel


def drawn(n: int, seed: int = 0, genes: int = 30, rate: float = 6.0) -> np.ndarray:
    """Draw counts."""
    return np.random.default_rng(seed).poisson(rate, (n, genes)).astype(float)


def test_the_pseudobulk_is_that_of_the_sum_so_that_deep_cells_weigh_more() -> None:
    """Shares 1/2 of 2 counts and 1/11 of 1,100: of both together 101 of 1,102."""
    found = CountedCells.of(np.array([[1.0, 1.0], [100.0, 1000.0]]))
    assert found.mean == pytest.approx(np.log1p(5e4 * np.array([101, 1001]) / 1102))
    assert found.count_mean == pytest.approx(1e6 * np.array([(1 / 2 + 1 / 11) / 2, (1 / 2 + 10 / 11) / 2]))


def test_the_jackknife_is_what_leaving_out_each_cell_gives() -> None:
    """Written out: (n - 1) / n times the squared deviations of the n pseudobulks without one cell."""
    counts = drawn(300)
    without = np.stack([CountedCells.of(np.delete(counts, cell, axis=0)).mean for cell in range(300)])
    deviations = (without - without.mean(axis=0)) ** 2
    assert CountedCells.of(counts).noise == pytest.approx(299 / 300 * deviations.sum())
    assert CountedCells.of(np.repeat(counts[:1], 5, axis=0)).noise == pytest.approx(0, abs=1e-12)


def test_the_jackknife_is_the_error_of_a_pseudobulk() -> None:
    """Against how far pseudobulks of 40 drawn cells are from each other."""
    means = np.stack([CountedCells.of(drawn(40, seed)).mean for seed in range(200)])
    told = np.mean([CountedCells.of(drawn(40, seed)).noise for seed in range(20)])
    assert told == pytest.approx(means.var(axis=0, ddof=1).sum(), rel=0.1)


def test_genes_that_control_cells_hardly_express_are_not_tested_on_either_side() -> None:
    """At most 5 counts per million in control: p and FDR are 1 however much the gene is predicted."""
    control = np.hstack([drawn(50, rate=4000, genes=49), np.zeros((50, 1))])
    moved = np.hstack([drawn(50, 1, rate=4000, genes=49), np.full((50, 1), 99.0)])
    reference = count_reference(control, tuple(f"G{gene}" for gene in range(50)))
    found = count_response(reference, "A", moved)
    assert found.tested.tolist() == [True] * 49 + [False]
    assert (found.fdr[-1], found.p_value[-1]) == (1, 1)
    assert found.log2_fold_change[-1] > 20


def test_depth_of_cells_changes_no_test() -> None:
    """Counts per million: cells of three times the depth of their controls are not DE for that."""
    rng = np.random.default_rng(3)
    share = rng.dirichlet(np.ones(30))
    shallow, deep = (rng.multinomial(depth, share, 80).astype(float) for depth in (5_000, 15_000))
    reference = count_reference(shallow, tuple(f"G{gene}" for gene in range(30)))
    assert count_response(reference, "A", deep).fdr.min() > 0.05
    assert count_response(reference, "A", sparse.csr_matrix(deep)).fdr.min() > 0.05


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda counts: counts + 0.5, r"900 values that are not whole numbers, such as .*5, but counts"),
        (lambda counts: counts - 50, "NaN, infinite or negative values, but counts are whole numbers"),
        (lambda counts: counts * np.nan, "NaN, infinite or negative values, but counts are whole numbers"),
        (lambda counts: counts * 1e5, "a cell of .* counts, but no cell has more than 1,000,000"),
        (lambda counts: counts * 0, "30 cells without a count"),
        (lambda counts: counts[:1], "at least 2 cells by 1 gene"),
        (lambda counts: counts[:, :9], "have 9 genes, but the control cells have 30"),
    ],
)
def test_what_is_no_count_is_refused(spoil: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    """One sentence that names the perturbation's cells."""
    reference = count_reference(drawn(30), tuple(f"G{gene}" for gene in range(30)))
    with pytest.raises(BenchmarkError, match="The predicted cells of 'A' .*" + message):
        count_response(reference, "A", spoil(drawn(30, 1)), "The predicted cells of 'A'")


def scored(name: str, of: Panel) -> np.ndarray:
    """Score a panel."""
    declared = METRICS[name]
    assert isinstance(declared, PanelMetric)
    return declared(of)


def two(predicted: list[list[float]], predicted_noise: float, real_noise: float = 4.0) -> Panel:
    """Make a panel of two perturbations of the third and the fourth of four genes."""
    changes = {"G2": [4.0, 0.0, 9.0, 0.0], "G3": [0.0, 4.0, 0.0, 9.0]}
    return replace(
        panel(changes, predicted, variance=0.0),
        real_noise=np.full(2, real_noise),
        predicted_noise=np.full(2, predicted_noise),
    )


def test_squared_errors_are_less_both_noises_and_leave_the_target_out() -> None:
    """No change: 16 - 4 - 1 over the three genes that are not the target; the distance is 16 - 4."""
    still = two([[0.0] * 4] * 2, predicted_noise=1.0)
    assert scored("expr_mse_unbiased", still) == pytest.approx([11 / 3] * 2)
    assert scored("expr_distance_unbiased", still) == pytest.approx([12 / 3] * 2)


def test_credit_for_noise_is_at_most_that_of_the_real_cells() -> None:
    """A prediction of noise 100 is spared 4, as much as the real side, where predictions differ enough."""
    noisy = two([[4.0, 0.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]], predicted_noise=100.0)
    assert scored("expr_mse_unbiased", noisy) == pytest.approx([-104 / 3] * 2)
    assert scored("expr_mse_unbiased_capped", noisy) == pytest.approx([-8 / 3] * 2)


def test_credit_for_noise_is_no_more_than_predictions_differ() -> None:
    """By 1 in one gene: squared deviations of 1/2 over three genes, where 2 x 4 over three are claimed."""
    alike = two([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], predicted_noise=4.0)
    credit = 4 * 0.5 / 8
    assert scored("expr_mse_unbiased_capped", alike) == pytest.approx(
        [(9 - 4 - credit) / 3, (16 - 4 - credit) / 3]
    )
    same = two([[0.0] * 4] * 2, predicted_noise=4.0)
    assert scored("expr_mse_unbiased_capped", same) == pytest.approx([12 / 3] * 2)


def test_the_mean_over_a_panel_is_the_ratio_of_sums() -> None:
    """So that the control cells score 1, however much each perturbation does."""
    assert scored("expr_mse_unbiased_capped_norm", two([[0.0] * 4] * 2, 4.0)).mean() == pytest.approx(1)
    nothing_moves = two([[0.0] * 4] * 2, 4.0, real_noise=20.0)
    assert np.isnan(scored("expr_mse_unbiased_capped_norm", nothing_moves)).all()
