"""`benchmark compare`: paired differences of two runs, and nothing where they do not answer one question."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from benchmark.errors import BenchmarkError
from benchmark.evaluation.statistics import holm, interval, signed_rank
from benchmark.records.tracking import StoredRun
from benchmark.report.comparison.pairs import chosen_metrics, compare, require_comparable
from benchmark.report.comparison.words import metric_rows
from benchmark.runs.run import run
from tests.report.report_case import png_size, record, subject
from tests.tiny import PATH_OPTIONS, request

LABELS = [f"G{n}" for n in range(8)]
FIRST = {"mse": [1, 2, 3, 4, 5, 6, 7, 8], "pearson": [0.5, None, 0.7, 0.1, 0.2, 0.3, 0.4, 0.6]}
SECOND = {"mse": [2, 2, 5, 3, 9, 7, 7, 9], "pearson": [0.4, 0.9, 0.1, 0.3, 0.2, 0.1, 0.3, 0.5]}
GAINS = {"mse": [1, 0, 2, -1, 4, 1, 0, 1], "pearson": [0.1, None, 0.6, -0.2, 0.0, 0.2, 0.1, 0.1]}


def of_scores(scores, **changes):
    """A record of eight perturbations in two groups."""
    return record(
        perturbations=LABELS,
        groups=["a", "b"] * 4,
        scores=scores,
        metric_versions=dict.fromkeys(scores, "1"),
        **changes,
    )


def without_data(name):
    raise BenchmarkError("There is no dataset.")


@pytest.fixture
def compared():
    return compare(of_scores(FIRST), of_scores(SECOND), ["mse", "pearson"], without_data)


def test_positive_means_that_the_first_is_better_whichever_way_a_metric_goes(compared):
    for name, expected in GAINS.items():
        np.testing.assert_allclose(
            compared.table[f"gain_{name}"], np.array(expected, dtype=float), atol=1e-12
        )
    assert [each.metric for each in compared.metrics] == ["mse", "pearson"]
    assert compared.metrics[0].mean == 1
    assert (compared.metrics[0].better, compared.metrics[0].worse) == (5 / 8, 1 / 8)
    assert (compared.metrics[1].n, compared.metrics[1].undefined) == (7, 1)


def test_intervals_and_tests_are_those_of_the_shared_statistics(compared):
    defined = [np.array([v for v in GAINS[name] if v is not None], dtype=float) for name in GAINS]
    corrected = holm([signed_rank(values) for values in defined])
    for difference, values, p in zip(compared.metrics, defined, corrected, strict=True):
        assert (difference.low, difference.high) == pytest.approx(interval(values))
        assert difference.corrected == pytest.approx(p)


def test_means_are_of_the_perturbations_where_both_are_defined(compared):
    """So that they differ by the mean difference: 2.8 / 7 = 0.4 and 1.9 / 7."""
    row = metric_rows(compared)[1]
    assert (row["first"], row["second"]) == ("0.4000", "0.2714")
    assert row["difference"].partition("\n")[0] == "+0.1286"
    assert row["undefined"] == 1


def test_of_few_perturbations_there_is_no_interval():
    found = compare(record(), record(), ["mse"], without_data).metrics[0]
    assert (found.mean, found.n) == (0, 2)
    assert math.isnan(found.low)
    assert math.isnan(found.corrected)


def test_wins_and_losses_are_the_largest_and_ties_are_neither(compared):
    wins, losses = compared.extremes("mse", 2)
    assert list(wins["perturbation"]) == ["G4", "G2"]
    assert list(losses["perturbation"]) == ["G3"]


def test_groups_have_their_mean_difference(compared):
    table = compared.by_group().set_index("group")
    assert list(table["perturbations"]) == [4, 4]
    assert list(table["gain_mse"]) == [(1 + 2 + 4 + 0) / 4, (0 - 1 + 1 + 1) / 4]
    assert table["gain_pearson"]["b"] == pytest.approx((-0.2 + 0.2 + 0.1) / 3)


def test_effect_sizes_are_those_of_the_data_and_a_note_says_where_they_are_missing(compared):
    assert compared.table["effect_size"].isna().all()
    assert any("Effect sizes are not shown: There is no dataset." in note for note in compared.notes)
    with_data = compare(record(), record(), ["mse"], lambda name: subject().dataset)
    np.testing.assert_allclose(with_data.table["effect_size"], [3, 4])
    assert with_data.notes == []


def test_refusals_and_other_numbers_of_cells_are_noted():
    few = record(fallbacks={"C": "unseen"})
    many = record(coordinates=record().coordinates.model_copy(update={"cells": 5}))
    found = compare(few, many, ["mse"], lambda name: subject().dataset)
    assert list(found.table["refused_by"]) == ["", "first"]
    assert "predicted 2 cells per perturbation and the second 5" in found.notes[0]
    assert "1 perturbations that the first refused and 0" in found.notes[1]


def stored(run_id="a1", **tags):
    usual = {"method": "additive", "dataset": "made", "split": "doubles", "seed": "0"}
    digests = {"dataset_digest": "d", "split_digest": "s", "metric_versions": '{"mse": "1"}'}
    return StoredRun(run_id, "finished", 0.0, {**usual, **digests, **tags})


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (stored("b1", dataset_digest="e"), "their data differ"),
        (stored("b1", split_digest="t"), "their splits differ"),
        (
            stored("b1", metric_versions='{"mse": "2"}'),
            "different versions of mse; `python -m benchmark rescore`",
        ),
        (stored("a1"), "Both names mean run a1"),
    ],
)
def test_runs_that_did_not_answer_the_same_question_are_refused(second, reason):
    with pytest.raises(BenchmarkError, match=reason):
        require_comparable(stored(), second, ["mse"])
    require_comparable(stored(), stored("b1"), ["mse"])


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (["msee"], "did you mean 'mse'"),
        (["pearson"], "Not both runs were scored in 'pearson'"),
        (["interval_coverage_50"], "does not judge"),
    ],
)
def test_metrics_that_cannot_be_compared_in_are_refused(asked, reason):
    with pytest.raises(BenchmarkError, match=reason):
        chosen_metrics(asked, stored(), stored("b1"))
    assert chosen_metrics([], stored(), stored("b1")) == ("mse",)


@pytest.fixture
def two(screen, store):
    return run(request(screen))[0], run(request(screen, "train_mean"))[0]


def test_typed_it_says_where_one_wins_and_writes_what_is_asked_for(two, screen, type_, tmp_path):
    data = ["--dataset", screen, *PATH_OPTIONS]
    page, png = tmp_path / "both.html", tmp_path / "both.png"
    code, out, err = type_("compare", "additive", "train_mean", *data, "--output", page)
    assert code == 0, err
    assert "Where the first wins most, in pearson" in out
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    assert 'src="data:image/png;base64,' in text
    assert type_("compare", "additive", "train_mean", *data, "--output", png)[0] == 0
    assert min(png_size(png.read_bytes())) > 200
    code, out, _ = type_("compare", "additive", "train_mean", *data, "--json", "--metrics", "mse")
    found = json.loads(out)
    pd.testing.assert_series_equal(
        pd.Series([row["gain_mse"] for row in found["perturbations"]]),
        pd.Series(two[1].scores["mse"]) - pd.Series(two[0].scores["mse"]),
    )
    assert found["first"]["method"] == "additive"
    assert all(row["effect_size"] > 0 for row in found["perturbations"])


def test_a_terminal_of_80_columns_shows_every_heading_and_name_whole(two, screen, type_, monkeypatch):
    monkeypatch.setattr("benchmark.cli.screen.WIDTH_OF_A_FILE", 80)
    monkeypatch.setenv("COLUMNS", "80")
    out = type_("compare", "additive", "train_mean", "--dataset", screen, *PATH_OPTIONS)[1]
    assert max(map(len, out.splitlines())) <= 80
    for word in ("de_overlap_adjusted", "direction_balanced", "difference", "perturbation", "combo_seen2"):
        assert word in out


def test_what_cannot_be_compared_is_one_sentence(two, screen, type_, tmp_path):
    for arguments, reason in (
        (["additive", "linear"], "no finished run 'linear'"),
        (["additive", "additive"], "Both names mean run"),
        (["additive", "train_mean", "--by", "mae"], "no metric among those compared 'mae'"),
        (["additive", "train_mean", "--output", tmp_path / "x.pdf"], "no kind of picture '.pdf'"),
        (["additive", "train_mean", "--output", tmp_path / "no" / "x.png"], "There is no folder"),
    ):
        code, out, err = type_("compare", *arguments)
        assert (code, out) == (2, "")
        assert reason in err
        assert err.strip().count("\n") == 0
    assert list(tmp_path.glob("x.*")) == []
