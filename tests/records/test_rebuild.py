"""A store whose database is lost is made anew from the files of its runs."""

from __future__ import annotations

import json
import shutil

import pytest

from benchmark.errors import BenchmarkError
from benchmark.records.lookup import Place, finished_run, predictions, question_of, read_record
from benchmark.records.tracking import StoredRun, Tracker
from benchmark.records.tracking.rebuild import rebuild
from benchmark.runs.request import prepare
from benchmark.runs.rescore import rescore
from benchmark.runs.run import run
from tests.tiny import request


def told(runs: list[StoredRun]) -> dict[str, tuple]:
    """What a board knows of each run; what only the process that did it could say is left out."""
    gone = {"host", "pid", "process_started", "anchor"}
    return {
        each.run_id: (
            each.status,
            {k: v for k, v in each.tags.items() if k not in gone and "mlflow." not in k},
        )
        for each in runs
    }


@pytest.fixture
def lost(store):
    """Lose what is in the database."""
    empty = store.read_bytes()
    return lambda: store.write_bytes(empty)


def test_every_finished_run_is_there_again_under_its_id(screen, lost, tmp_path):
    records = [run(request(screen, method))[0] for method in ("additive", "train_mean")]
    before = told(Tracker().runs())
    lost()
    outcome = rebuild(Tracker())
    assert sorted(outcome.done) == sorted(record.run_id for record in records)
    tracker = Tracker()
    after = told(tracker.runs())
    assert {run_id: status for run_id, (status, _) in after.items()} == dict.fromkeys(before, "finished")
    for run_id, (_, tags) in after.items():
        assert {k: tags[k] for k in before[run_id][1]} == before[run_id][1] | {"reason": ""}
    found = finished_run(tracker.runs(), "additive")
    assert read_record(tracker, found) == records[0]
    task = prepare(request(screen, "additive"))
    question = question_of(Place.of(found), lambda name: task.dataset)
    cells, _ = predictions(tracker, records[0], question, tmp_path)
    assert set(cells) == set(records[0].perturbations)
    assert tracker.client.get_run(found.run_id).data.metrics["mse"] == records[0].metrics["mse"].mean
    assert run(request(screen, "additive")) == (records[0], False)
    again = rebuild(Tracker())
    assert (again.done, len(again.known)) == ([], 2)


def test_a_run_that_was_scored_anew_comes_back_as_it_was_scored_last(screen, lost):
    record, _ = run(request(screen, "additive"))
    task = prepare(request(screen, "additive"))
    rescore(record.run_id, force=True, dataset=task.dataset)
    renewed = Tracker().record(record.run_id)
    assert renewed.rescored
    lost()
    rebuild(Tracker())
    assert Tracker().record(record.run_id) == renewed


def test_a_file_that_is_no_record_is_said_and_stops_nothing(home, screen, type_, lost):
    broken, whole = (run(request(screen, method))[0] for method in ("additive", "train_mean"))
    (home / "mlartifacts" / broken.run_id / "artifacts" / "record.json").write_text("{")
    lost()
    code, out, _ = type_("runs", "rebuild", "--json")
    about = json.loads(out)
    assert (code, about["rebuilt"], about["known"]) == (0, [whole.run_id], [])
    assert broken.run_id in next(iter(about["unreadable"]))


def test_a_removed_run_does_not_come_back(home, screen, lost):
    record, _ = run(request(screen, "train_mean"))
    Tracker().remove(record.run_id)
    assert Tracker().runs() == []
    assert not (home / "mlartifacts" / record.run_id).exists()
    lost()
    assert rebuild(Tracker()).done == []


def test_only_the_store_of_the_project_is_made_anew(store, monkeypatch, tmp_path):
    other = shutil.copy(store, tmp_path / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    with pytest.raises(BenchmarkError, match="only that of the project"):
        rebuild(Tracker())
