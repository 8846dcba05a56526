"""The anchors and the scale of the suite of 2026 are those that cell-eval2 0.20.0 gives on the same cells."""

from __future__ import annotations

import json
import logging
import math

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.studies.vcc2026.anchors import baseline, halves, mean_of, mean_response, replicate
from benchmark.studies.vcc2026.scale import scaled, score
from benchmark.studies.vcc2026.suite import SIX, Context, means, measure
from tests.evaluation.metrics.cell_eval2_pair import (
    CONTROL,
    GENES,
    RECORDED,
    cell_eval2_anchors,
    logs,
    screens,
)

THEIRS = json.loads(RECORDED.read_text())


@pytest.fixture(scope="module")
def pair() -> tuple[Context, dict[str, np.ndarray]]:
    """The recorded pair, as counts."""
    real, predicted = screens()
    control = real.pop(CONTROL)
    return Context(GENES, control, real, "counts"), predicted


@pytest.fixture(scope="module")
def low(pair) -> dict[str, float]:
    return baseline(pair[0])


@pytest.fixture(scope="module")
def high(pair) -> dict[str, float]:
    return mean_of(replicate(pair[0]))


def test_the_six_of_a_pair_are_those_of_cell_eval2(pair) -> None:
    found = means(measure(*pair))
    assert {name: THEIRS["counts"]["together"][name] for name in SIX} == pytest.approx(found, abs=1e-6)


def test_the_mean_response_scores_what_it_does_there(low) -> None:
    """The same cells are drawn, scaled alike."""
    assert low == pytest.approx(THEIRS["anchors"]["baseline"], abs=1e-6)


def test_a_replicate_scores_what_it_does_there(high) -> None:
    """The same halves, each with its own controls; fold changes over the genes that all real cells call."""
    assert high == pytest.approx(THEIRS["anchors"]["replicate"], abs=1e-6)


def test_scaled_scores_are_those_of_cell_eval2(pair, low, high) -> None:
    found = scaled(means(measure(*pair)), low, high)
    assert found == pytest.approx(THEIRS["anchors"]["scaled"], abs=1e-6)
    assert score(found) == pytest.approx(np.mean(list(THEIRS["anchors"]["scaled"].values())), abs=1e-6)


def test_the_ends_of_the_scale_score_zero_and_one_and_errors_are_held(low, high) -> None:
    """What is worse than the floor of an error counts as the floor, and so does what is not defined."""
    assert scaled(low, low, high) == pytest.approx(dict.fromkeys(SIX, 0.0))
    assert scaled(high, low, high) == pytest.approx(dict.fromkeys(SIX, 1.0))
    awful = {**low, "expr_mse_unbiased_capped_norm": 50.0, "de_wilcoxon_lfc_nmae": 50.0}
    assert [
        scaled(awful, low, high)[name] for name in ("expr_mse_unbiased_capped_norm", "de_wilcoxon_lfc_nmae")
    ] == [
        0,
        -6,
    ]
    nothing = scaled(dict.fromkeys(SIX, math.nan), low, high)
    assert nothing["de_wilcoxon_lfc_nmae"] == -6
    assert nothing["pds_cosine"] == pytest.approx(
        -low["pds_cosine"] / (high["pds_cosine"] - low["pds_cosine"])
    )
    with pytest.raises(BenchmarkError, match="there is no scale between them"):
        scaled(low, high, low)


def test_log_values_have_anchors_too() -> None:
    """The mean response as cells that have that mean; a replicate is better in all six."""
    real, _ = screens()
    real = logs(real)
    context = Context(GENES, real.pop(CONTROL), real, "log1p")
    low, high = baseline(context), mean_of(replicate(context, halvings=2))
    assert low["pds_cosine"] == pytest.approx(0.5)
    assert scaled(high, low, high) == pytest.approx(dict.fromkeys(SIX, 1.0))


def test_the_mean_response_leaves_each_out_in_its_own_target() -> None:
    """Gene G0 is 4 in the cells of its own perturbation and 1 in those of the other, whose mean it is."""
    real = {"G0": np.full((3, 2), [4.0, 2.0]), "G1": np.full((3, 2), [1.0, 8.0])}
    context = Context(("G0", "G1"), np.ones((4, 2)), real, "counts")
    assert mean_response(context).tolist() == [1, 2]
    with pytest.raises(BenchmarkError, match="a gene is the target of all of them"):
        mean_response(Context(("G0", "G1"), np.ones((4, 2)), {"G0": real["G0"]}, "counts"))


def test_halves_share_no_cell_and_few_cells_are_refused() -> None:
    """Of five cells two each."""
    cells = {"A": np.arange(5.0)[:, None], "B": np.arange(10.0, 14.0)[:, None]}
    one, other = halves(cells, 0)
    assert len(one["A"]) == len(other["A"]) == 2
    assert not set(one["A"].ravel()) & set(other["A"].ravel())
    with pytest.raises(BenchmarkError, match="'A' has 3 cells, too few to halve"):
        halves({"A": np.ones((3, 1))}, 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_package_still_gives_these_anchors() -> None:
    """Skipped where `cell-eval2` and `pdex` are not installed (extra `eval`)."""
    pytest.importorskip("cell_eval2", reason="the extra `eval` is not installed")
    pytest.importorskip("pdex", reason="the extra `eval` is not installed")
    logging.disable(logging.WARNING)
    try:
        found = cell_eval2_anchors()
    finally:
        logging.disable(logging.NOTSET)
    for part, values in found.items():
        assert values == pytest.approx(THEIRS["anchors"][part], abs=1e-9)
