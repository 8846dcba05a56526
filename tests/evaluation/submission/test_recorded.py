"""What a scored file leaves behind: a row on the board, or nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmark.board import build_board
from benchmark.records.archive import file_digest
from benchmark.records.tracking import Tracker
from benchmark.runs.handed_in import check_name, score_file
from benchmark.runs.run import run
from tests.evaluation.submission.submission_case import CELLS
from tests.tiny import PATH_OPTIONS, request


def test_the_archive_of_a_run_scores_as_the_run_did(screen, dataset, split, store, tmp_path):
    record, _ = run(request(screen))
    path = Tracker().artifact(record.run_id, record.archive, tmp_path)
    scored = score_file(path, dataset, split)
    assert scored.submission.notes == []
    for name, values in record.scores.items():
        np.testing.assert_array_equal(scored.scores[name], np.array(values, dtype=float))


def test_scoring_without_a_name_leaves_nothing(type_, home, screen, table, write):
    code, out, _ = type_("score", write(table), "--dataset", screen, *PATH_OPTIONS)
    assert code == 0
    assert "mse" in out
    assert "not recorded (--name NAME records it)" in out
    assert not (home / "mlflow.db").exists()


def test_a_name_puts_the_scores_on_the_board(type_, store, screen, table, write):
    path = write(table)
    arguments = ["score", path, "--dataset", screen, *PATH_OPTIONS, "--name", "theirs", "--json"]
    code, out, _ = type_(*arguments)
    assert code == 0
    record = json.loads(out)
    at = record["coordinates"]
    assert (at["method"], at["configuration"], at["config"], at["cells"]) == (
        "theirs",
        "submitted",
        {},
        CELLS,
    )
    assert record["device"] == "unknown"
    assert record["archive_sha256"] == at["source_digest"] == file_digest(path)
    (run_,) = [found for found in Tracker().runs() if found.tags["method"] == "theirs"]
    assert run_.status == "finished"
    again = json.loads(type_(*arguments)[1])
    assert again["run_id"] == record["run_id"]
    code, out, _ = type_("leaderboard")
    assert code == 0
    assert "theirs" in out


def test_json_without_a_name_has_the_scores(type_, screen, table, write, split):
    code, out, _ = type_("score", write(table), "--dataset", screen, *PATH_OPTIONS, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["perturbations"] == list(split.test)
    assert len(found["scores"]["mse"]) == len(split.test)


def test_a_row_from_outside_brings_its_anchors_unless_told_not_to(type_, store, screen, table, write):
    """With as many cells, so that the board can scale it; a score without a name brings nothing."""
    command = ["score", write(table), "--dataset", screen, *PATH_OPTIONS]
    for options, expected in (
        ([], []),
        (["--name", "theirs", "--no-anchors"], ["theirs"]),
        (["--name", "theirs"], ["additive", "ceiling", "limit", "no_change", "theirs", "train_mean"]),
    ):
        code, out, _ = type_(*command, *options, "--json")
        assert code == 0
        assert len(json.loads(out)["scores"]["mse"]) == 3
        assert sorted(found.tags["method"] for found in Tracker().runs()) == expected
    (block,) = build_board(Tracker().runs())
    rows = {row.method: row for row in block.rows}
    assert {row.cells for row in block.rows if not row.is_bound} == {CELLS}
    assert rows["theirs"].scaled["mse"].mean is not None
    assert rows["train_mean"].scaled["mse"].mean == pytest.approx(0)


@pytest.mark.parametrize("name", ["theirs", "GEARS-2.1_(retrained)", "x+y", "7"])
def test_a_name_may_be_any_word(name):
    check_name(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("additive", "'additive' is a row of this harness"),
        ("Additive", "'additive' is a row of this harness"),
        ("CEILING", "'ceiling' is a row of this harness"),
        *((name, "a name on the board is made of") for name in ("my method", "", "..", "-_-", "naïve")),
        *((name, "a name on the board is made of") for name in ("аdditive", "a/b", "a|b", "name\n", "٣")),
    ],
)
def test_a_name_that_is_taken_or_no_word_is_refused(type_, home, screen, table, write, name, sentence):
    """Nothing is written, also where letters of another script look like a method's."""
    before = set(home.iterdir())
    code, out, err = type_("score", write(table), "--dataset", screen, *PATH_OPTIONS, f"--name={name}")
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.strip().endswith("choose another.")
    assert set(home.iterdir()) == before


def test_a_refused_file_is_one_line_and_nothing_is_recorded(type_, home, screen, table, write):
    code, out, err = type_("score", write(-table), "--dataset", screen, *PATH_OPTIONS, "--name", "theirs")
    assert (code, out) == (2, "")
    assert "negative" in err.splitlines()[-1]
    assert not (home / "mlflow.db").exists()
