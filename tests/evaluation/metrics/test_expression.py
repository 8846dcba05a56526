"""Claims about the metrics of mean expression, on values that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.evaluation.metrics import METRICS, Response
from tests.evaluation.metrics.metric_case import differential_expression, reference, response


def score(name: str, real: Response, predicted: Response) -> float:
    """Score one perturbation by name."""
    return METRICS[name](real, predicted)


def test_errors_of_the_means_by_hand() -> None:
    """Errors 3, -4 and 0: absolute 7 of 3, squared 25 of 3, length 5."""
    real, predicted = response([0, 0, 1]), response([3, -4, 1])
    assert score("mae", real, predicted) == pytest.approx(7 / 3)
    assert score("rmse", real, predicted) == pytest.approx(np.sqrt(25 / 3))
    assert score("l2", real, predicted) == pytest.approx(5)


def test_cosine_by_hand_and_that_it_sees_a_common_shift() -> None:
    """(3, 4) and (4, 3) enclose 24/25; a shift of all genes leaves the correlation at 1, not the cosine."""
    assert score("cosine", response([3, 4]), response([4, 3])) == pytest.approx(24 / 25)
    real, shifted = response([1, 2, 3]), response([11, 12, 13])
    assert score("pearson", real, shifted) == pytest.approx(1)
    assert score("cosine", real, shifted) == pytest.approx(74 / np.sqrt(14 * 434))


def test_changes_against_the_centroid_by_hand() -> None:
    """Control 1, centroid (1, 2, 3): real means (2, 4, 3) change by (1, 2, 0), the guess by (0, 1, -1)."""
    against = reference(3, 1.0, centroid=[1, 2, 3])
    real, predicted = response([1, 3, 2], against=against), response([0, 2, 1], against=against)
    assert score("cosine_centroid", real, predicted) == pytest.approx(2 / np.sqrt(5 * 2))
    assert score("pearson_centroid", real, predicted) == pytest.approx(2 / np.sqrt(2 * 2))


def test_who_predicts_the_centroid_for_everything_scores_zero_against_it() -> None:
    """Against control the same guess looks good, because all perturbations share a shift."""
    shift = np.array([2.0, 2.2, -1.0, 0.5])
    against = reference(4, 3.0, centroid=3 + shift)
    real = response(shift + [0.1, -0.2, 0.1, 0.2], against=against)
    guess = response(shift, against=against)
    assert score("pearson", real, guess) > 0.97
    assert (score("pearson_centroid", real, guess), score("cosine_centroid", real, guess)) == (0, 0)


@pytest.mark.parametrize(
    ("suffix", "flat", "still"),
    [
        ("", [0.5, 0.5, 0.5], [0, 0, 0]),
        ("_top20", [0.5, 0.5, 0.5], [0, 0, 0]),
        ("_centroid", [1.5, 1.5, 1.5], [1, 1, 1]),
    ],
)
def test_a_guess_that_says_nothing_scores_zero_and_a_silent_truth_is_nan(
    suffix: str, flat: list[float], still: list[float]
) -> None:
    """The same change in all genes has no correlation, no change at all has no direction either."""
    against = reference(3, 1.0, centroid=[2, 2, 2])
    real, flat_side, still_side = (
        response(change, de="xxx", against=against) for change in ([1, 2, 4], flat, still)
    )
    assert score(f"pearson{suffix}", real, flat_side) == 0
    assert np.isnan(score(f"pearson{suffix}", flat_side, real))
    assert score(f"cosine{suffix}", flat_side, flat_side) == pytest.approx(1)
    assert score(f"cosine{suffix}", real, still_side) == 0
    assert np.isnan(score(f"cosine{suffix}", still_side, real))


def test_cosine_top20_takes_the_strongest_real_de_genes() -> None:
    """Of 25 DE genes the 20 of largest fold change are right and the others have the wrong sign."""
    strength = np.arange(1.0, 26)
    real = response(strength, de="x" * 25)
    predicted = response(np.where(strength > 5, strength, -strength))
    assert score("cosine_top20", real, predicted) == pytest.approx(1)
    assert score("cosine", real, predicted) < 1
    assert np.isnan(score("cosine_top20", response(strength), predicted))


def test_the_thousand_genes_are_those_that_control_cells_express_most() -> None:
    """Gene 400 of 1,001 is expressed least, and the only one that is predicted wrongly."""
    control = np.linspace(3, 2, 1001)
    control[400] = 0.5
    against = reference(1001, control)
    change = np.sin(np.arange(1001))
    wrong = change.copy()
    wrong[400] += 7
    real, predicted = response(change, against=against), response(wrong, against=against)
    assert score("l2", real, predicted) == pytest.approx(7)
    assert [score(f"{name}_top1000", real, predicted) for name in ("mse", "l2")] == [0, 0]
    assert score("pearson_top1000", real, predicted) == pytest.approx(1)
    wrong[401] += 7
    assert score("mse_top1000", real, response(wrong, against=against)) == pytest.approx(49 / 1000)


def test_weights_by_hand() -> None:
    """Changes 0, -1, 2 with equal errors: |t| is scaled to 0, 1/2, 1, squared and divided to 0, .2, .8.

    Errors 5, 1 and 1/2 give .2 + .2 = .4. Against the centroid the changes are 0, -1 and 2, with the weighted
    mean 1.4 and the variance .2 * 2.4^2 + .8 * .6^2 = 1.44, so R^2 = 1 - .4 / 1.44.
    """
    against = reference(3, 1.0, centroid=[1, 1, 1])
    real, predicted = response([0, -1, 2], against=against), response([5, 0, 2.5], against=against)
    assert score("weighted_mse", real, predicted) == pytest.approx(0.4)
    assert score("weighted_r2", real, predicted) == pytest.approx(1 - 0.4 / 1.44)


def test_weights_come_from_the_real_side_alone_and_genes_that_never_vary_have_none() -> None:
    """A spread guess changes nothing; a gene that is constant on both sides counts 0, however far off."""
    against = reference(3, 1.0, variance=[1, 1, 0], centroid=[1, 1, 1])
    real = response([1, 2, 9], against=against, variance=[1, 1, 0])
    for spread in (0.1, 50):
        predicted = response([1, 2, 0], against=against, variance=spread, n_cells=3)
        assert score("weighted_mse", real, predicted) == 0
    assert score("weighted_r2", real, predicted) == 1


def test_where_no_gene_moves_more_than_another_weights_are_undefined() -> None:
    """So is R^2 where the change against the centroid does not vary among the genes that count."""
    against = reference(3, 1.0, centroid=[1, 0, 1])
    level = response([1, -1, 1], against=against)
    assert np.isnan(score("weighted_mse", level, level))
    assert np.isnan(score("weighted_r2", level, level))
    real = response([0, 1, 2], against=against)
    assert score("weighted_mse", real, level) > 0
    assert np.isnan(score("weighted_r2", real, level))


def test_mse_unbiased_by_hand() -> None:
    """Squared error 1, noise 2/10 of the real mean; spread and number of predicted cells do not count."""
    real = response([0, 0], variance=2, n_cells=10)
    for variance, n_cells in ((1, 20), (1e6, 2)):
        predicted = response([1, -1], variance=variance, n_cells=n_cells)
        assert score("mse_unbiased", real, predicted) == pytest.approx(1 - 0.2)


def test_mse_unbiased_of_a_copy_is_below_zero_by_the_noise_that_it_copies() -> None:
    """So that the mean over perturbations is right: a true mean is as often above zero."""
    real = response([1, 0], variance=2, n_cells=10)
    assert score("mse_unbiased", real, real) == pytest.approx(-0.2)


def test_mse_unbiased_is_the_delete_one_jackknife_of_mse() -> None:
    """Leave out each real cell in turn, and take what the mean over those changes."""
    rng = np.random.default_rng(0)
    control, real, predicted = (rng.uniform(2, 2 + width, (n, 6)) for width, n in ((3, 9), (1, 5), (2, 7)))

    def squared(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.mean((one.mean(axis=0) - other.mean(axis=0)) ** 2))

    whole = squared(real, predicted)
    expected = whole
    left_out = [squared(np.delete(real, cell, axis=0), predicted) for cell in range(len(real))]
    expected -= (len(real) - 1) * (np.mean(left_out) - whole)
    found = score("mse_unbiased", *(differential_expression(control, side) for side in (real, predicted)))
    assert 0 < expected < whole
    assert found == pytest.approx(expected, rel=1e-5)


def test_mse_unbiased_finds_the_squared_difference_beneath_the_noise_of_few_cells() -> None:
    """Means differ by 0.2 and 20 real cells vary by 1: mse of the mean itself is 0.04 + 0.05 on average."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(40):
        control, real = (rng.normal(5, 1, (20, 300)) for _ in range(2))
        predicted = np.full((2, 300), 5.2)
        sides = [differential_expression(control, side) for side in (real, predicted)]
        found.append([score(name, *sides) for name in ("mse", "mse_unbiased")])
    biased, unbiased = np.mean(found, axis=0)
    assert biased == pytest.approx(0.09, rel=0.05)
    assert unbiased == pytest.approx(0.04, rel=0.15)
