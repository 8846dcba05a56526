"""Claims about the metric of dependence between genes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.metrics.dependence import covariances
from tests.evaluation.metrics.metric_case import against, evaluate
from tests.evaluation.metrics.metric_case import differential_expression as response

N_GENES = 30


def programme(n: int, seed: int, share: float = 0.8, raised: float = 0.0) -> np.ndarray:
    """Draw cells in which one programme moves all genes together, about a mean of 4."""
    rng = np.random.default_rng(seed)
    together = rng.normal(size=(n, 1)) * share
    own = rng.normal(size=(n, N_GENES)) * (1 - share**2) ** 0.5
    return (4 + raised + 0.3 * (together + own)).astype(np.float32)


def shuffled(cells: np.ndarray, seed: int = 0) -> np.ndarray:
    """Shuffle each gene over the cells by itself: no dependence is left, and all else."""
    return np.random.default_rng(seed).permuted(cells, axis=0)


def scores(predicted: np.ndarray, real: np.ndarray):
    return evaluate(programme(300, 9), {"A": real}, {"A": predicted}).loc["A"]


def test_two_genes_by_hand() -> None:
    """Deviations -1, 0, 1 and -1, 1, 0: products sum to 1, over n - 1 = 2; their squares to 1."""
    found, noise = covariances(np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 1.0]]))
    assert found == pytest.approx(np.array([[0, 0.5], [0.5, 0]]))
    assert noise == pytest.approx(2 * (1 / 3 - 1 / 9) / 2)


def test_covariances_are_those_of_numpy() -> None:
    cells = np.random.default_rng(0).normal(size=(50, 6))
    expected = np.cov(cells.T)
    np.fill_diagonal(expected, 0)
    assert covariances(cells)[0] == pytest.approx(expected)


def test_noise_is_what_other_cells_of_the_same_kind_add() -> None:
    """Mean squared distance of the covariances of 200 cells from those of 200,000, over 300 draws."""
    truth, _ = covariances(programme(200_000, 0, share=0.3))
    drawn = [covariances(programme(200, seed, share=0.3)) for seed in range(1, 301)]
    expected = np.mean([((found - truth) ** 2).sum() for found, _ in drawn])
    assert np.mean([noise for _, noise in drawn]) == pytest.approx(expected, rel=0.05)


def test_the_same_cells_score_below_none_and_others_of_their_kind_near_none() -> None:
    real = programme(400, 1)
    assert scores(programme(4000, 2), real)["covariance_error"] == pytest.approx(0, abs=0.06)


def test_genes_without_dependence_score_one_and_other_metrics_hardly_see_it() -> None:
    """Against cells of the same kind, shuffling adds 1 here, and little to the distances of distributions."""
    real, same = programme(400, 1, share=0.4), programme(4000, 2, share=0.4)
    good, without = scores(same, real), scores(shuffled(same), real)
    assert without["covariance_error"] - good["covariance_error"] == pytest.approx(1, abs=0.1)
    assert without["wasserstein"] == pytest.approx(good["wasserstein"], rel=1e-6)
    assert without["mmd"] - good["mmd"] < 0.02


def test_a_shift_of_the_mean_does_not_count() -> None:
    real = programme(400, 1)
    assert scores(programme(4000, 2, raised=1.0), real)["covariance_error"] == pytest.approx(
        scores(programme(4000, 2), real)["covariance_error"], abs=1e-4
    )


def test_cells_have_no_order() -> None:
    rng = np.random.default_rng(4)
    real, predicted = programme(50, 1), programme(40, 2)
    turned = scores(rng.permutation(predicted), rng.permutation(real))
    assert turned["covariance_error"] == scores(predicted, real)["covariance_error"]


def test_few_cells_and_cells_without_dependence_have_none() -> None:
    control = programme(300, 9)
    few, alone = response(control, programme(3, 1)), response(control, programme(300, 1, share=0.0))
    assert np.isnan(METRICS["covariance_error"](few, few))
    assert np.isnan(METRICS["covariance_error"](alone, alone))


def test_targets_do_not_count() -> None:
    """The target varies a hundredfold with a gene beside it in the predicted cells alone."""
    real, predicted = programme(200, 1), programme(200, 2)
    predicted[:, 0] = predicted[:, 1]
    reference = against(programme(300, 9))
    assert reference.targets(["G0"]).tolist() == [0]
    found = evaluate(programme(300, 9), {"G0": real}, {"G0": predicted})
    kept = evaluate(programme(300, 9), {"G0": real}, {"G0": programme(200, 2)})
    assert found.loc["G0", "covariance_error"] == kept.loc["G0", "covariance_error"]
