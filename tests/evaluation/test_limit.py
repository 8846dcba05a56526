"""The limit is what the true means would score, which is known of simulated cells and in closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard
from benchmark.data.simulator import SimulatorConfig, simulate
from benchmark.evaluation.limit import draw_true_changes, error_of_mean
from benchmark.evaluation.metrics import Reference
from benchmark.evaluation.metrics.evaluate import evaluate_means
from benchmark.evaluation.scoring import true_means
from benchmark.perturbation import CONTROL

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


@pytest.fixture(scope="module")
def screen() -> dict[str, np.ndarray]:
    """Simulated cells of a network, so many that their mean is as good as the true one."""
    config = SimulatorConfig(
        seed=3, n_genes=120, n_singles=6, n_doubles=2, cells_per_perturbation=1500, n_controls=3000
    )
    cells, _ = simulate(config)
    adata = canonicalise(cells, DatasetCard(name="many", expression="counts", modality="simulated"))
    labels = adata.obs["perturbation"].to_numpy()
    return {label: adata.X[labels == label].toarray() for label in np.unique(labels)}


@pytest.mark.parametrize("n_cells", [10, 30, 60, 300])
def test_the_limit_of_simulated_cells_is_what_their_true_mean_scores(screen, n_cells):
    """Bias and spread over draws of cells; the true mean is that of 1,500 cells, drawn ones among them."""
    perturbed = {label: cells for label, cells in screen.items() if label != CONTROL}
    genes = [f"G{number}" for number in range(120)]
    reference = Reference.of(screen[CONTROL][:1500], genes, given=screen[CONTROL][1500:])
    found = []
    for draw in range(4):
        rng = np.random.default_rng(draw)
        real = {label: cells[rng.permutation(len(cells))[:n_cells]] for label, cells in perturbed.items()}
        (truth,) = evaluate_means(
            reference, real, lambda side: perturbed[side.label].mean(axis=0, dtype=np.float64)[None]
        )
        limit = pd.concat(evaluate_means(reference, real, true_means)).groupby(level=0, sort=False).mean()
        found.append([table[["mse", "pearson", "direction_balanced"]].mean() for table in (limit, truth)])
    (mse, *limits), (true_mse, *truths) = np.mean(found, axis=0)
    assert mse == pytest.approx(true_mse / (1 - n_cells / 1500), rel=0.12)  # of a finite number of cells
    np.testing.assert_allclose(limits, truths, atol=0.03)
