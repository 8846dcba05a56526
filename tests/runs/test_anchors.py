"""The anchors are recorded beside a run, once, said aloud, and never in the way of the run itself."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmark.board import BOUNDS, build_board
from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation import scoring
from benchmark.records.tracking import Tracker
from benchmark.runs import anchors
from benchmark.runs.anchors import bound_at, ensure_anchors
from benchmark.runs.run import run
from benchmark.splits import load_split
from tests.tiny import COLUMNS, PATH_OPTIONS, request

pytestmark = pytest.mark.usefixtures("store")

ALL = ["additive", "ceiling", "limit", "no_change", "train_mean"]


def recorded() -> list[str]:
    return sorted(run.tags["method"] for run in Tracker().runs())


@pytest.fixture
def asked(screen):
    return request(screen, "linear")


def test_missing_anchors_are_recorded_as_ordinary_runs_and_each_is_on_the_log(asked, caplog):
    record, _ = run(asked)
    with caplog.at_level(logging.INFO, "benchmark"):
        found = ensure_anchors(asked, record.coordinates)
    assert sorted(each.coordinates.method for each in found) == ALL
    assert recorded() == sorted(["linear", *ALL])
    for method in ALL:
        assert caplog.text.count(f"Recording {method}, ") == 1
    for each in found:
        assert each.perturbations == record.perturbations
        assert each.groups == record.groups
        assert each.coordinates.split_digest == record.coordinates.split_digest
    assert {each.coordinates.cells for each in found if each.coordinates.method not in BOUNDS} == {20}


@pytest.mark.slow
def test_they_are_the_runs_that_anybody_gets_who_asks_for_them(asked, screen):
    ensure_anchors(asked, run(asked)[0].coordinates)
    for method in ("no_change", "train_mean", "additive"):
        assert not run(request(screen, method))[1]


def test_anchors_that_are_there_are_not_recorded_again_and_nothing_is_loaded(asked, monkeypatch):
    record, _ = run(asked)
    ensure_anchors(asked, record.coordinates)
    monkeypatch.setattr(anchors, "load_dataset", lambda *_: pytest.fail("the data were loaded"))
    assert ensure_anchors(asked, record.coordinates) == []


@pytest.mark.slow
def test_only_what_is_missing_is_recorded_and_the_asked_run_may_be_one_of_them(screen):
    asked = request(screen, "train_mean")
    found = ensure_anchors(asked, run(asked)[0].coordinates)
    assert sorted(each.coordinates.method for each in found) == ["additive", "ceiling", "limit", "no_change"]


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_bound_is_what_scoring_says_and_has_no_archive(asked, screen, bound):
    record, _ = run(asked)
    found = {each.coordinates.method: each for each in ensure_anchors(asked, record.coordinates)}[bound]
    dataset = load_dataset(str(screen), **COLUMNS)
    table = scoring.BOUNDS[bound](dataset, load_split(dataset, "doubles", 0))
    for name, values in found.scores.items():
        np.testing.assert_allclose(np.array(values, dtype=float), table[name])
    assert (found.archive, found.archive_sha256, found.archive_mb) == ("", "", 0.0)
    assert Tracker().record(found.run_id) == found
    files = {file.path for file in Tracker().client.list_artifacts(found.run_id)}
    assert files == {"record.json", "per_perturbation.csv", "environment.txt"}


@pytest.mark.slow
def test_one_bound_serves_all_numbers_of_cells_and_samples(screen):
    first = request(screen, "linear")
    ensure_anchors(first, run(first)[0].coordinates)
    other = request(screen, "linear", cells=18)
    found = ensure_anchors(other, run(other)[0].coordinates)
    assert [each.coordinates.method for each in found] == ["no_change", "train_mean", "additive"]
    assert {(each.coordinates.cells, each.coordinates.samples) for each in found} == {(18, 1)}


def test_another_seed_or_other_code_of_a_bound_asks_for_another(asked, tmp_path, monkeypatch):
    at = run(asked)[0].coordinates
    key, other = bound_at("limit", at).key, {"method": "additive", "samples": 4, "cells": 99}
    assert bound_at("limit", at.model_copy(update={"seed": 1})).key != key
    assert bound_at("limit", at.model_copy(update=other)).key == key
    changed = tmp_path / "scoring.py"
    changed.write_text("HALVINGS = 3")
    monkeypatch.setattr(scoring, "__file__", str(changed))
    assert bound_at("limit", at).key != key


@pytest.mark.slow
def test_a_ceiling_that_cannot_be_measured_is_warned_of_and_the_rest_recorded(asked, caplog, monkeypatch):
    def too_few(dataset, split):
        raise BenchmarkError("half a cell cannot be scored.")

    monkeypatch.setitem(scoring.BOUNDS, "ceiling", too_few)
    found = ensure_anchors(asked, run(asked)[0].coordinates)
    assert sorted(each.coordinates.method for each in found) == [name for name in ALL if name != "ceiling"]
    assert "ceiling could not be recorded: half a cell cannot be scored." in caplog.text
    (block,) = build_board(Tracker().runs())
    assert [(row.method, row.status) for row in block.rows][-1] == ("ceiling", "failed")


def test_the_board_scales_what_was_run(asked):
    ensure_anchors(asked, run(asked)[0].coordinates)
    (block,) = build_board(Tracker().runs())
    assert block.rows[0].is_bound
    rows = {row.method: row for row in block.rows}
    assert rows["train_mean"].scaled["mse"].mean == pytest.approx(0)
    mse = {name: row.metrics["mse"].mean for name, row in rows.items()}
    assert (rows["linear"].scaled["mse"].mean > 0) == (mse["linear"] < mse["train_mean"])


def test_a_typed_run_brings_its_anchors_unless_told_not_to(type_, screen):
    command = ["run", "--method", "linear", "--dataset", screen, *PATH_OPTIONS, "--cells", "20", "--json"]
    code, out, err = type_(*command, "--no-anchors")
    assert (code, recorded()) == (0, ["linear"])
    assert "Recording" not in err
    code, out, _ = type_(*command)
    assert code == 0
    assert json.loads(out)["coordinates"]["method"] == "linear"
    assert recorded() == sorted(["linear", *ALL])


def thinned(screen, split, labels, cells):
    """The data set with so many cells of some perturbations."""
    dataset = load_dataset(str(screen), **COLUMNS)
    of = dataset.adata.obs["perturbation"]
    place = of.groupby(of, observed=True).cumcount()
    return replace(dataset, adata=dataset.adata[~(of.isin(labels) & (place >= cells))].copy())


def test_a_perturbation_that_cannot_be_halved_has_no_ceiling_and_the_others_have_theirs(screen):
    """Three cells leave one half with a single cell; metrics of one perturbation see nothing of it."""
    split = load_split(load_dataset(str(screen), **COLUMNS), "doubles", 0)
    rare, *rest = split.test
    whole = scoring.ceiling(load_dataset(str(screen), **COLUMNS), split)
    table = scoring.ceiling(thinned(screen, split, [rare], scoring.FEWEST - 1), split)
    assert list(table.index) == list(split.test)
    assert table.index.name == "perturbation"
    assert table.loc[rare].isna().all()
    pd.testing.assert_frame_equal(table.loc[rest, ["mse", "pearson"]], whole.loc[rest, ["mse", "pearson"]])


def test_four_cells_are_halved(screen):
    split = load_split(load_dataset(str(screen), **COLUMNS), "doubles", 0)
    table = scoring.ceiling(thinned(screen, split, split.test[:1], scoring.FEWEST), split)
    assert np.isfinite(table.loc[split.test[0], "mse"])


def test_without_any_perturbation_to_halve_there_is_no_ceiling(screen):
    split = load_split(load_dataset(str(screen), **COLUMNS), "doubles", 0)
    with pytest.raises(BenchmarkError, match="has 4 cells, so that none can be halved"):
        scoring.ceiling(thinned(screen, split, split.test, 3), split)
