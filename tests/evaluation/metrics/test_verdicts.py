"""Claims about cell-eval2's metrics of DE genes, on verdicts that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmark.evaluation.metrics import METRICS, Metric, Response
from benchmark.evaluation.metrics.verdicts import verdicts, verdicts_without_targets
from tests.evaluation.metrics.metric_case import response

N = 40


def score(name: str, real: Response, predicted: Response) -> float:
    """Score one pair under the short name."""
    declared = METRICS[f"de_wilcoxon_{name}"]
    assert isinstance(declared, Metric)
    return declared(real, predicted)


def side(fold: list[float], de: str, order: list[int] | None = None, label: str = "A") -> Response:
    """Make a side of 40 genes: fold changes and calls of the first ones, the most confident one first."""
    more = N - len(fold)
    rates = np.where([mark == "x" for mark in de], 0.01, 0.5)
    places = np.array(order if order is not None else range(len(fold)))
    confidence = rates + 1e-4 * np.argsort(np.argsort(places))
    return response([*fold, *[0.1] * more], fdr=[*confidence, *np.linspace(0.6, 0.9, more)], label=label)


TEN = [1.0] * 7 + [-1.0] * 3
"""Ten real DE genes, seven of which rise."""


def test_reach_goes_as_deep_as_nine_signs_of_ten_are_right() -> None:
    """Wrong at depth 1, then nine right ones: 9 of 10 at depth 10, so all; one more wrong leaves none."""
    real = side(TEN, "x" * 10)
    one_wrong = side([-1.0, *TEN[1:]], "x" * 10)
    assert score("direction_reach_raw", real, one_wrong) == 1
    assert score("direction_reach_raw", real, side([-1.0, -1.0, *TEN[2:]], "x" * 10)) == 0
    late = side([*TEN[:8], 1.0, 1.0], "x" * 10)
    assert score("direction_reach_raw", real, late) == pytest.approx(8 / 10)
    assert score("direction_sensitivity", real, one_wrong) == 0


def test_corrected_reach_asks_for_more_than_one_sign_for_all() -> None:
    """q = 0.7, so 0.7 + 0.95 x 0.3 = 0.985 must be right: the first eight of ten are."""
    real, late = side(TEN, "x" * 10), side([*TEN[:8], 1.0, 1.0], "x" * 10)
    assert score("direction_reach", real, late) == pytest.approx(8 / 10)
    every_rising = side([1.0] * 10, "x" * 10)
    assert score("direction_reach", real, every_rising) == pytest.approx(7 / 10)


def test_the_order_is_that_of_the_prediction() -> None:
    """The wrong gene is the last in confidence, though the first by its place."""
    real = side(TEN, "x" * 10)
    wrong_first = side([-1.0, *TEN[1:]], "x" * 10, order=[9, *range(9)])
    assert score("direction_sensitivity", real, wrong_first) == pytest.approx(9 / 10)


def test_equal_confidence_is_ordered_by_fold_change_and_then_by_name() -> None:
    """p equal: the larger change first; G10 before G2, as text is ordered."""
    real = response([1.0] * 12)
    predicted = response([1.0] * 11 + [2.0], fdr=[0.5] * 12)
    order = np.argsort(verdicts(real, predicted).confidence)
    assert order.tolist() == [11, 0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9]


def test_fidelity_yields_by_hand() -> None:
    """Eight of ten real genes are called, six with the right sign, and four others, two of them right."""
    real = side(TEN + [1.0, 1.0, -1.0, -1.0], "x" * 10 + "....")
    predicted = side(
        [1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], "xxxxxxxx..xxxx"
    )
    n_pred, right, q = 12, 5 + 1 + 2, 0.7
    assert score("direction_fidelity_raw", real, predicted) == pytest.approx(right / n_pred)
    assert score("direction_coverage", real, predicted) == pytest.approx(n_pred / 10)
    assert score("direction_yield_raw", real, predicted) == pytest.approx(right / 10)
    assert score("direction_yield", real, predicted) == pytest.approx((right - q * n_pred) / (10 * 0.3))
    corrected = (right / n_pred - q) / 0.3
    assert score("direction_fidelity", real, predicted) == pytest.approx(corrected)
    assert score("direction_fidelity_yield", real, predicted) == pytest.approx(corrected)
    assert score("direction_fidelity_yield_raw", real, predicted) == pytest.approx(right / 12)
    few = side(TEN, "xxxx......")
    assert score("direction_fidelity_yield_raw", real, few) == pytest.approx(4 / 10)
    assert score("direction_fidelity_yield", real, few) == pytest.approx(4 / 10 * (1 - q) / 0.3)


def test_a_sign_that_the_real_cells_do_not_settle_counts_for_nobody_and_silence_is_wrong() -> None:
    """A real fold change of 0 is left out; a predicted one of 0 stays and is a miss."""
    real = side([0.0, *TEN[1:]], "x" * 10)
    predicted = side([5.0, 0.0, *TEN[2:]], "x" * 10)
    assert score("direction_fidelity_raw", real, predicted) == pytest.approx(8 / 9)
    assert score("direction_reach_unbounded_raw", real, real) == pytest.approx((N - 1) / 10)


def test_the_target_is_left_out_but_where_it_is_said() -> None:
    """G0 is perturbed: whoever knows that it falls gains in the older metrics alone."""
    real = side([-5.0, *TEN[1:], 1.0], "x" * 11, label="G0")
    knows, not_ = (side([fold, *[-1.0] * 10], "x" * 11, label="G0") for fold in (-5.0, 5.0))
    for name in ("direction_fidelity_yield_raw", "direction_reach_raw", "sig_jaccard", "lfc_nmae"):
        assert score(name, real, knows) == score(name, real, not_), name
    assert score("direction_precision", real, knows) > score("direction_precision", real, not_)
    double = response([1.0] * 5, de="xxxxx", label="G1+G3")
    assert verdicts_without_targets(double, double).real.tolist() == [True, False, True, False, True]


def test_jaccard_of_two_silent_sides_is_one_and_of_one_is_zero() -> None:
    """Both call nothing: they agree."""
    quiet, loud = side(TEN, "." * 10), side(TEN, "x" * 10)
    assert score("sig_jaccard", quiet, quiet) == 1
    assert score("sig_jaccard", quiet, loud) == score("sig_jaccard", loud, quiet) == 0
    assert score("sig_jaccard", loud, side(TEN + [1.0] * 5, "....." + "x" * 10)) == pytest.approx(5 / 15)


def test_nmae_is_the_error_for_each_unit_of_change() -> None:
    """Half of every change is half wrong, no change is all wrong, twice in the other direction is thrice."""
    real = side([2.0 * fold for fold in TEN], "x" * 10)
    for factor, error in ((0.5, 0.5), (0.0, 1.0), (-2.0, 3.0)):
        guess = side([2.0 * factor * fold for fold in TEN], "." * 10)
        assert score("lfc_nmae", real, guess) == pytest.approx(error)
    assert math.isnan(score("lfc_nmae", side(TEN[:9], "x" * 9), real))


def test_agreement_beyond_chance_by_hand() -> None:
    """Of 40 genes ten are real, twelve are called, six are both."""
    real = side(TEN, "x" * 10)
    predicted = side([1.0] * 16, "....xxxxxxxxxxxx")
    assert score("sig_recall_adjusted", real, predicted) == pytest.approx(6 / 10 - 6 / 30)
    assert score("precision_adjusted", real, predicted) == pytest.approx(6 / 12 - 4 / 28)
    expected = (6 * 40 - 10 * 12) / np.sqrt(10 * 12 * 30 * 28)
    assert score("sig_mcc", real, predicted) == pytest.approx(expected)
    first_ten = (6 * 40 - 10 * 10) / np.sqrt(10 * 10 * 30 * 30)
    assert score("overlap_adjusted", real, predicted) == pytest.approx(first_ten)
    silent = side(TEN, "." * 10)
    assert [score(name, real, silent) for name in ("sig_mcc", "precision_adjusted", "overlap_adjusted")] == [
        -1,
        -1,
        -1,
    ]
    assert score("sig_recall_adjusted", real, silent) == 0


def test_correlations_of_one_direction_charge_who_says_the_same_of_all() -> None:
    """Twelve rising genes; equal predicted fold changes score -1, the right order 1, nine are too few."""
    folds = [float(fold) for fold in range(1, 13)]
    real = side(folds, "x" * 12)
    assert score("lfc_spearman_pos", real, side([fold**2 for fold in folds], "." * 12)) == pytest.approx(1)
    assert score("lfc_spearman_pos", real, side([1.0] * 12, "x" * 12)) == -1
    assert math.isnan(score("lfc_spearman_neg", real, real))
    assert math.isnan(score("lfc_spearman_pos", side(folds[:9], "x" * 9), real))
