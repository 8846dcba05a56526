"""The board can be made from files alone, and is the one that the store gives."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from benchmark.board import build_board
from benchmark.board.export import as_json
from benchmark.errors import BenchmarkError
from benchmark.records.files import as_stored, newest, read_record, read_records, record_path, write_record
from benchmark.records.tracking import Tracker
from benchmark.runs.run import run
from tests.tiny import request

pytestmark = pytest.mark.usefixtures("store")

SIMULATED = ("--dataset", "simulated", "--split", "doubles", "--cells", "20", "--no-anchors")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "records"


@pytest.fixture
def record(screen):
    return run(request(screen, "no_change"))[0]


def later(record, **changes):
    return record.model_copy(update={"started": "2999-01-01T00:00:00+00:00", **changes})


def test_the_board_of_the_records_is_the_board_of_the_store(screen, folder):
    for seed in (0, 1):
        for method in ("no_change", "additive", "linear"):
            write_record(run(request(screen, method, seed=seed))[0], folder)
    of_store = as_json(build_board(Tracker().runs()))
    of_files = as_json(build_board([as_stored(record) for record in read_records(folder)]))
    assert json.loads(of_files) == json.loads(of_store)
    assert len(json.loads(of_files)) >= 3


def test_a_record_read_again_is_the_same_up_to_the_sixth_digit(record, folder):
    found = read_record(write_record(record, folder))
    assert found.model_dump(exclude={"scores"}) == record.model_dump(exclude={"scores"})
    tables = [pd.DataFrame(each.scores, dtype=float) for each in (found, record)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-5)
    assert tables[0].notna().any().any()


def test_the_same_record_gives_the_same_bytes(record, folder, tmp_path):
    first, second = write_record(record, folder), write_record(record, tmp_path / "again")
    assert first.read_bytes() == second.read_bytes()


def test_other_code_has_the_same_place_and_another_configuration_another(record, folder):
    at = record.coordinates
    place = record_path(folder, at)
    assert record_path(folder, at.model_copy(update={"source_digest": "0" * 64})) == place
    assert record_path(folder, at.model_copy(update={"configuration": "another name"})) == place
    for change in (
        {"config": {"rank": 3}},
        {"cells": 21},
        {"seed": 7},
        {"dataset_digest": "0"},
        {"samples": 2},
        {"devices": 2},
        {"budget": 4.0},
        {"train_share": 0.5},
    ):
        assert record_path(folder, at.model_copy(update=change)) != place


def test_a_point_of_a_curve_does_not_take_the_place_of_the_row_it_belongs_to(record, folder):
    """Though it is the newer of the two, and has the same configuration."""
    part = record.coordinates.model_copy(update={"train_share": 0.5})
    both = [later(record, coordinates=part), record]
    assert len(newest([as_stored(each) for each in both])) == 2
    for each in both:
        write_record(each, folder)
    assert len(read_records(folder)) == 2


def test_a_name_with_slashes_stays_in_the_folder(record, folder):
    at = record.coordinates.model_copy(update={"method": "../../mine.py:Own"})
    assert record_path(folder, at).resolve().is_relative_to(folder.resolve())


def test_records_are_read_newest_first(record, folder):
    write_record(record, folder)
    other = record.coordinates.model_copy(update={"seed": 5})
    write_record(later(record, coordinates=other), folder)
    assert [found.coordinates.seed for found in read_records(folder)] == [5, 0]


@pytest.mark.parametrize("damage", [lambda data: data[:50], lambda data: b"", lambda data: b"no gzip" + data])
def test_a_damaged_record_is_named(record, folder, damage):
    path = write_record(record, folder)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BenchmarkError, match=f"{path.name} is not a record"):
        read_records(folder)


def test_a_folder_without_records_is_said(tmp_path):
    with pytest.raises(BenchmarkError, match="There is no record below"):
        read_records(tmp_path)


@pytest.mark.slow
def test_the_published_board_can_be_shown_where_there_is_no_store(type_, home, folder):
    assert type_("run", "--method", "no_change", *SIMULATED)[0] == 0
    assert type_("publish", "--output", folder)[1].startswith("1 records written")
    (home / "mlflow.db").unlink()
    code, out, _ = type_("leaderboard", "--records", folder, "--format", "json")
    assert code == 0
    assert [row["method"] for row in json.loads(out)] == ["no_change"]
    assert not (home / "mlflow.db").exists()


@pytest.mark.slow
def test_a_newer_published_record_is_kept(type_, folder):
    type_("run", "--method", "no_change", *SIMULATED)
    type_("publish", "--output", folder)
    (published,) = read_records(folder)
    path = write_record(later(published, device="the newer one"), folder)
    code, out, _ = type_("publish", "--output", folder)
    assert (code, out.partition(" ")[0]) == (0, "0")
    assert read_record(path).device == "the newer one"


def test_runs_on_a_file_without_a_card_are_not_published(record, type_, folder):
    code, _, err = type_("publish", "--output", folder)
    assert code == 2
    assert "No such run has finished" in err
    assert not folder.exists()
