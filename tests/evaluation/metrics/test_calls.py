"""Both sides are tested on as many cells, so that a number of cells calls no genes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.evaluation.metrics import METRICS, Reference
from benchmark.evaluation.metrics.calls import calls
from benchmark.evaluation.metrics.differential import differential_expression
from tests.evaluation.metrics.metric_case import evaluate

GENES = 60


def cells(n: int, seed: int, moved: float = 0.3) -> np.ndarray:
    """Cells in which the first half of the genes is expressed a little more."""
    found = np.random.default_rng(seed).normal(2, 0.5, (n, GENES))
    found[:, : GENES // 2] += moved
    return np.maximum(found, 0).astype(np.float32)


CONTROL = cells(400, 0, 0.0)


def test_more_predicted_cells_of_the_same_kind_call_about_as_many_genes():
    """400 cells call all that change; of them only 30 are tested, as many as are real."""
    real = {"A": cells(30, 1)}
    few, many = (evaluate(CONTROL, real, {"A": cells(n, 2)}).loc["A"] for n in (30, 400))
    assert len(differential_expression(reference(), "A", cells(400, 2)).de_genes) >= 30
    assert few["n_de_predicted"] == pytest.approx(many["n_de_predicted"], abs=8)
    assert many["n_de_predicted"] < 26


def test_the_real_side_is_tested_on_as_few_cells_as_are_predicted():
    against = reference()
    real, predicted = (differential_expression(against, "A", cells(n, n)) for n in (300, 30))
    found = calls(real, predicted)
    assert len(found.real) < len(real.de_genes)
    np.testing.assert_array_equal(found.predicted, predicted.de_genes)


def test_with_as_many_cells_nothing_is_left_out():
    against = reference()
    real, predicted = (differential_expression(against, "A", cells(50, seed)) for seed in (3, 4))
    found = calls(real, predicted)
    np.testing.assert_array_equal(found.real, real.de_genes)
    np.testing.assert_array_equal(found.predicted_fdr, predicted.fdr)


def test_the_order_of_the_cells_decides_nothing():
    many = cells(200, 5)
    shuffled = many[np.random.default_rng(0).permutation(200)]
    one, other = (evaluate(CONTROL, {"A": cells(40, 6)}, {"A": each}).loc["A"] for each in (many, shuffled))
    assert one["de_jaccard"] == other["de_jaccard"]


def test_metrics_that_read_means_do_not_test_predicted_cells():
    for name in ("de_overlap_adjusted", "direction_balanced", "mse", "pearson"):
        assert METRICS[name].spec.reads == "mean"
    for name in ("de_overlap", "de_recall", "de_pr_auc", "n_de_predicted"):
        assert METRICS[name].spec.reads == "cells"


def reference() -> Reference:
    return Reference.of(CONTROL, [f"G{index}" for index in range(GENES)])
