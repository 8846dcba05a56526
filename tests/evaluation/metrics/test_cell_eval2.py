"""Every metric of cell-eval2's full profile gives its numbers, or the difference has a name and a reason.

Its numbers on one pair, as counts and as log values, are recorded with the version of the package
(``cell_eval2_pair.py``); a slow test makes them anew where the package is installed.
"""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.evaluation.metrics import METRICS, Metric, Reference
from benchmark.evaluation.metrics.counts import Counts, count_reference
from benchmark.evaluation.metrics.differential import differential_expression
from benchmark.evaluation.metrics.evaluate import evaluate
from tests.evaluation.metrics.cell_eval2_pair import (
    CONTROL,
    FEW_CELLS,
    FEW_GENES,
    GENES,
    LABELS,
    NO_EFFECT,
    NOISE,
    RECORDED,
    SILENT,
    cell_eval2_scores,
    digest,
    logs,
    one_guess,
    screens,
)

THEIRS = json.loads(RECORDED.read_text())
PANEL = "expr_mse_unbiased_capped_norm"
SIX = (
    "pds_cosine",
    PANEL,
    "de_wilcoxon_direction_fidelity_yield_raw",
    "de_wilcoxon_direction_reach_raw",
    "de_wilcoxon_sig_jaccard",
    "de_wilcoxon_lfc_nmae",
)
ALIASES = {alias: name for name, declared in METRICS.items() for alias in declared.spec.aliases}
OTHERWISE = {
    "de_wilcoxon_precision": "de_precision counts all real DE genes, theirs as many of them as are predicted",
    "de_wilcoxon_nsig_spearman": "one number for a panel, which n_de_real and n_de_predicted give",
    "expr_real_mass_ratio": "of the reference alone: whether its pseudobulks add up to what was meant",
}
"""Members that no metric here gives as they are, and why."""

LIKE_THEIRS = [label for label in LABELS if label not in (NO_EFFECT, FEW_GENES, FEW_CELLS, NOISE)]
"""Where no named difference of an alias is in the way."""


@pytest.fixture(scope="module")
def ours() -> dict[str, pd.DataFrame]:
    """Score the pair, as cell-eval2's names for what a side holds say."""
    real, predicted = screens()
    real_logs, predicted_logs = logs(real), logs(predicted)
    control, control_logs = real.pop(CONTROL), real_logs.pop(CONTROL)
    counts = count_reference(control, GENES)
    reference = Reference.of(control_logs, GENES)
    guess = one_guess(predicted)
    return {
        "lognorm": evaluate(reference, real_logs, predicted_logs),
        "counts": evaluate(reference, real_logs, predicted_logs, counts=Counts(counts, real, predicted)),
        "one_guess": evaluate(reference, real_logs, logs(guess), counts=Counts(counts, real, guess)),
    }


def recorded(holds: str) -> pd.DataFrame:
    """Return their values, a row per perturbation."""
    return pd.DataFrame(THEIRS[holds]["perturbations"], dtype=float).loc[list(LABELS)]


def test_the_recorded_values_are_of_this_pair_and_of_the_version_that_is_meant() -> None:
    """Whoever draws other cells records anew."""
    assert THEIRS["versions"]["cell-eval2"] == "0.20.0"
    assert THEIRS["digest"] == digest(screens())


def test_every_member_of_the_full_profile_is_here_or_has_a_reason_not_to_be() -> None:
    """Under its own name, under another one that says so, or not at all."""
    members = {*recorded("counts"), PANEL}
    assert members == {name for name in members if name in METRICS} | ALIASES.keys() | OTHERWISE.keys()
    assert not METRICS.keys() & (ALIASES.keys() | OTHERWISE.keys())
    assert set(SIX) <= METRICS.keys()


@pytest.mark.parametrize("holds", ["counts", "lognorm", "one_guess"])
def test_members_of_the_same_name_agree(ours: dict[str, pd.DataFrame], holds: str) -> None:
    """To 1e-6, for each perturbation, and undefined for the same ones."""
    theirs = recorded(holds)
    names = [name for name in theirs if name in METRICS]
    assert len(names) == (6 if holds == "one_guess" else 30)
    np.testing.assert_allclose(ours[holds][names], theirs[names], rtol=0, atol=1e-6)
    assert theirs[names].nunique().min() > (0 if holds == "one_guess" else 3)


@pytest.mark.parametrize("holds", ["counts", "lognorm", "one_guess"])
def test_the_ratio_of_a_panel_is_the_mean_of_our_column(ours: dict[str, pd.DataFrame], holds: str) -> None:
    """They give no value for a perturbation; the mean of ours is what they give for all."""
    assert ours[holds][PANEL].mean() == pytest.approx(THEIRS[holds]["together"][PANEL], abs=1e-6)


def test_who_predicts_the_same_for_all_has_no_credit_for_noise(ours: dict[str, pd.DataFrame]) -> None:
    """The predictions do not differ, so that their noise is none of drawing cells."""
    table = ours["one_guess"]
    assert (table["expr_mse_unbiased_capped"] > table["expr_mse_unbiased"]).all()
    assert table["pds_cosine"].mean() == pytest.approx(0.5)


def test_aliases_agree_on_log_values(ours: dict[str, pd.DataFrame]) -> None:
    """One column under two names, where both sides have as many cells and there are ten real DE genes."""
    theirs = recorded("lognorm").loc[LIKE_THEIRS, list(ALIASES)]
    here = ours["lognorm"].loc[LIKE_THEIRS, list(ALIASES.values())].set_axis(list(ALIASES), axis=1)
    np.testing.assert_allclose(here, theirs, rtol=0, atol=1e-6)


def test_aliases_are_the_same_function_of_counts(ours: dict[str, pd.DataFrame]) -> None:
    """Of the responses of counts; a board takes them of log values, so that all of its rows are alike."""
    real, predicted = screens()
    both = Counts(count_reference(real.pop(CONTROL), GENES), real, predicted)
    theirs = recorded("counts")
    for label in LIKE_THEIRS:
        sides = both.sides(label)
        for alias, name in ALIASES.items():
            declared = METRICS[name]
            assert isinstance(declared, Metric)
            assert declared(*sides) == pytest.approx(theirs.loc[label, alias], abs=1e-6, nan_ok=True), name
    assert ours["counts"]["mse"].equals(ours["lognorm"]["mse"])
    assert (theirs["expr_mse"] > 1.2 * ours["counts"]["mse"]).all()


def test_aliases_differ_where_one_side_has_more_cells(ours: dict[str, pd.DataFrame]) -> None:
    """The first named difference: cell-eval2 tests all cells, so that more of them call more genes."""
    n_theirs, n_ours = recorded("lognorm")["de_wilcoxon_nsig_counts_pred"], ours["lognorm"]["n_de_predicted"]
    assert n_theirs[NOISE] > n_ours[NOISE]
    assert n_theirs[FEW_CELLS] == n_ours[FEW_CELLS]  # of the prediction all are tested
    recall = recorded("lognorm")["de_wilcoxon_sig_recall"], ours["lognorm"]["de_recall"]
    assert recall[0][FEW_CELLS] != pytest.approx(recall[1][FEW_CELLS])  # of the real cells as many


def test_aliases_differ_where_there_are_few_real_de_genes(ours: dict[str, pd.DataFrame]) -> None:
    """The second: they leave out what has fewer than ten, or score 0; we leave out what has none."""
    here, there = ours["lognorm"], recorded("lognorm")
    assert (here.loc[[NO_EFFECT, FEW_GENES], "n_de_real"].to_numpy() == [0, 3]).all()
    assert math.isnan(there.loc[FEW_GENES, "de_wilcoxon_sig_recall"])
    assert 0 <= here.loc[FEW_GENES, "de_recall"] <= 1
    assert there.loc[NO_EFFECT, "de_wilcoxon_overlap"] == 0
    assert math.isnan(here.loc[NO_EFFECT, "de_overlap"])


def test_what_says_nothing_is_charged_least_by_them() -> None:
    """The third: a predicted change that is equal in all genes scores -1 there and 0 here."""
    control = np.log1p(np.random.default_rng(0).poisson(5, (20, 30))).astype(np.float32)
    reference = Reference.of(control, [f"G{gene}" for gene in range(30)])
    moved = differential_expression(reference, "P", control[:, ::-1])
    still = differential_expression(reference, "P", control)
    pearson = METRICS["pearson"]
    assert isinstance(pearson, Metric)
    assert pearson(moved, still) == 0


def test_a_silent_prediction_is_no_way_out(ours: dict[str, pd.DataFrame]) -> None:
    """Who calls no gene is charged for it, but in the plain share of right calls, as they have it."""
    silent = ours["counts"].loc[SILENT]
    assert silent["de_wilcoxon_direction_fidelity_yield_raw"] < 0.1
    assert silent["de_wilcoxon_sig_jaccard"] < 0.1
    assert silent["de_wilcoxon_sig_mcc"] in (-1, pytest.approx(0, abs=0.2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("counts", {"holds": "counts"}),
        ("lognorm", {"holds": "lognorm"}),
        ("one_guess", {"holds": "counts", "profile": "anndata", "guess": True}),
    ],
)
def test_the_package_still_gives_what_was_recorded(name: str, asked: dict[str, Any]) -> None:
    """Skipped where `cell-eval2` and `pdex` are not installed (extra `eval`)."""
    pytest.importorskip("cell_eval2", reason="the extra `eval` is not installed")
    pytest.importorskip("pdex", reason="the extra `eval` is not installed")
    logging.disable(logging.WARNING)
    try:
        found = cell_eval2_scores(**asked)
    finally:
        logging.disable(logging.NOTSET)
    for part in ("perturbations", "together"):
        there = pd.json_normalize(found[part]).T.sort_index()
        known = pd.json_normalize(THEIRS[name][part]).T.sort_index()
        assert list(there.index) == list(known.index)
        # Their sums are in float32 in places, which another processor adds in another order.
        np.testing.assert_allclose(there.astype(float), known.astype(float), rtol=1e-8, atol=1e-9)
