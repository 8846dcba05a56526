"""Reading the usual store without MLflow gives what MLflow gives, and is left to it where it might not."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from mlflow.tracking import MlflowClient

from benchmark.errors import BenchmarkError
from benchmark.records.record import Coordinates
from benchmark.records.tracking import TAG_LENGTH, Tracker, local
from benchmark.runs.run import run
from tests.tiny import request

AT = Coordinates(
    method="own",
    method_version="1",
    configuration="default",
    config={"text": "a long one, " * TAG_LENGTH},
    source_digest="0" * 64,
    dataset="it's data",
    dataset_digest="1" * 64,
    split="doubles",
    split_digest="2" * 64,
    seed=0,
    cells=20,
)
QUERIES = [
    "",
    "attributes.status = 'RUNNING'",
    "attributes.status = 'FINISHED'",
    "tags.method = 'own'",
    "tags.method = 'OWN'",
    "tags.status = 'running' and tags.method = 'own'",
    f"tags.key = '{AT.key}' and attributes.status = 'KILLED'",
]


@pytest.fixture
def lived_in(store, screen):
    """A store with a run in every state that there is; some began in the same millisecond."""
    run(request(screen, "no_change"))
    tracker = Tracker()
    opened = []
    for _ in range(6):
        with tracker.recording(AT) as recording:
            opened.append(recording.run_id)
    running, dead, failed, interrupted, deleted, closed = opened
    tracker.client.set_tag(dead, "pid", "1")
    tracker.close(failed, "failed", "no idea")
    tracker.close(interrupted, "interrupted")
    tracker.close(closed, "killed", "the process ended without a word")
    tracker.client.delete_run(deleted)
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE runs SET start_time = 7 WHERE run_uuid IN (?, ?)", [running, failed])
    with Tracker("tuning").recording(AT):
        pass
    return store


def unanswered(*_):
    raise local.UnansweredError


@pytest.fixture
def by_mlflow(monkeypatch):
    """Ask MLflow alone from now on."""

    def ask():
        for name in ("experiment_id", "runs", "tags", "file_of"):
            monkeypatch.setattr(local, name, unanswered)

    return ask


@pytest.fixture
def no_mlflow(monkeypatch):
    """Refuse to ask MLflow."""

    def refuse(*_):
        pytest.fail("MLflow was asked")

    monkeypatch.setattr(MlflowClient, "__init__", refuse)


def test_every_query_gives_the_runs_that_mlflow_gives(lived_in, by_mlflow):
    ours = {name: [Tracker(name).runs(query) for query in QUERIES] for name in ("benchmark", "tuning")}
    by_mlflow()
    assert ours == {name: [Tracker(name).runs(query) for query in QUERIES] for name in ours}
    statuses = sorted(found.status for found in ours["benchmark"][0])
    assert statuses == ["failed", "finished", "interrupted", "killed", "killed", "running"]
    assert ours["tuning"][0][0].config == AT.config


def test_records_and_files_are_those_that_mlflow_gives(lived_in, by_mlflow, tmp_path):
    def read(folder):
        folder.mkdir()
        tracker = Tracker()
        (found,) = tracker.runs("attributes.status = 'FINISHED'")
        record = tracker.record(found.run_id)
        path = tracker.artifact(found.run_id, record.archive, folder)
        assert path.parent == folder
        return record, tracker.finished(record.coordinates.key), path.name, path.read_bytes()

    ours = read(tmp_path / "ours")
    by_mlflow()
    assert ours == read(tmp_path / "theirs")


def test_a_record_that_was_written_anew_is_read_from_its_new_file(lived_in, by_mlflow):
    tracker = Tracker()
    (found,) = tracker.runs("attributes.status = 'FINISHED'")
    renewed = tracker.record(found.run_id).model_copy(update={"rescored": {"at": "today"}})
    tracker.replace_record(renewed)
    assert Tracker().record(found.run_id) == renewed
    by_mlflow()
    assert Tracker().record(found.run_id) == renewed


def test_nothing_that_only_reads_asks_mlflow(lived_in, no_mlflow, tmp_path):
    tracker = Tracker()
    for query in QUERIES:
        tracker.runs(query)
    (found,) = tracker.runs("attributes.status = 'FINISHED'")
    record = tracker.finished(found.tags["key"])
    assert tracker.artifact(found.run_id, record.archive, tmp_path).is_file()
    for path in lived_in.parent.glob("mlflow.db-*"):
        pytest.fail(f"reading left {path.name}")


def test_the_known_tables_are_those_of_the_mlflow_that_is_installed(store):
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(local.REVISION,)]


def test_other_questions_are_left_to_mlflow(lived_in):
    tracker = Tracker()
    assert len(tracker.runs("metrics.coverage > 0 and tags.method = 'no_change'")) == 1
    assert len(tracker.runs("tags.method != 'no_change'")) == 5


def test_other_tables_are_left_to_mlflow(store):
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(BenchmarkError, match=r"cannot be used .*out-of-date database schema"):
        Tracker()


def test_what_is_missing_is_said_as_mlflow_says_it(lived_in, tmp_path):
    tracker = Tracker()
    with pytest.raises(BenchmarkError, match=r"cannot be used .*id=0000 not found"):
        tracker.record("0000")
    (found,) = tracker.runs("attributes.status = 'FINISHED'")
    with pytest.raises(BenchmarkError, match=r"its file gone\.h5ad is not in the run store"):
        tracker.artifact(found.run_id, "gone.h5ad", tmp_path)
    (lived_in.parent / "mlartifacts" / found.run_id / "artifacts" / "record.json").unlink()
    with pytest.raises(BenchmarkError, match="cannot be used"):
        tracker.record(found.run_id)


def test_what_is_no_database_is_named(home):
    store = home / "mlflow.db"
    store.write_text("no database, " * 1000)
    with pytest.raises(BenchmarkError, match=f"{store} cannot be used"):
        Tracker()


def test_an_empty_file_gets_its_tables_from_mlflow(home):
    (home / "mlflow.db").touch()
    assert Tracker().runs() == []


def test_a_writer_in_the_middle_of_its_work_is_not_waited_for_and_not_seen(lived_in, no_mlflow):
    tracker = Tracker()
    before = tracker.runs()
    with closing(sqlite3.connect(lived_in, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE tags SET value = 'other' WHERE key = 'method'")
        assert tracker.runs() == before
        writer.execute("COMMIT")
    assert {found.tags["method"] for found in tracker.runs()} == {"other"}


def test_a_store_that_is_locked_for_long_is_left_to_mlflow(lived_in, monkeypatch):
    uri, number = Tracker().uri, Tracker().experiment_id
    monkeypatch.setattr(local, "PATIENCE", 0.01)
    with closing(sqlite3.connect(lived_in, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(local.UnansweredError):
            local.runs(uri, number, "")
    assert local.runs(uri, number, "")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "sqlite:///{}/not there?.db", "sqlite:///{}"])
def test_another_store_or_none_is_left_to_mlflow(home, uri):
    with pytest.raises(local.UnansweredError):
        local.experiment_id(uri.format(home), "benchmark")
    assert list(home.iterdir()) == []
