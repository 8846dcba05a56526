"""What the store gets of a run, and that no result is lost with the store."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import distributions

import pytest
from mlflow.tracking import MlflowClient

from benchmark.errors import BenchmarkError
from benchmark.records.tracking import Tracker
from benchmark.records.tracking.delivery import Delivery, waiting_room
from benchmark.records.tracking.surroundings import SystemMonitor
from benchmark.runs.request import prepare
from benchmark.runs.run import perform, run
from tests.machine.process_case import environment
from tests.records.server_case import Server
from tests.sweep.sweep_case import Case
from tests.tiny import COLUMNS, request


@pytest.fixture
def record(store, screen):
    return run(request(screen, "no_change"))[0]


@pytest.fixture
def server(tmp_path, monkeypatch, _empty_store):
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(_empty_store, folder / "mlflow.db")
    its = Server(folder)
    its.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", its.uri)
    yield its
    its.kill()


def history(run_id: str) -> dict[str, list[tuple[int, float, int]]]:
    """Every metric of a run with all its values."""
    client = Tracker().client
    names = client.get_run(run_id).data.metrics
    return {
        name: [(each.step, each.value, each.timestamp) for each in client.get_metric_history(run_id, name)]
        for name in names
    }


def test_a_run_keeps_its_surroundings(record):
    found = Tracker().client.get_run(record.run_id)
    inputs = {each.dataset.name: each.dataset.digest for each in found.inputs.dataset_inputs}
    at = record.coordinates
    assert inputs == {at.dataset: at.dataset_digest[:36], "doubles-0": at.split_digest[:36]}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(
        found.data.metrics
    )
    assert found.data.tags["dirty"] in ("true", "false")
    assert record.versions["commit"].startswith(found.data.tags["mlflow.source.git.commit"])


def test_a_run_keeps_every_package_that_was_installed(record, tmp_path):
    lines = Tracker().artifact(record.run_id, "environment.txt", tmp_path).read_text().splitlines()
    assert set(lines[2:]) == {f"{found.name}=={found.version}" for found in distributions()}
    assert lines[0].startswith(f"# Python {record.versions['python']}")


def test_the_load_is_looked_at_again_and_again():
    with SystemMonitor(interval=0.05) as monitor:
        time.sleep(0.5)
    looks = [each for each in monitor.metrics if each.key == "system/system_memory_usage_percentage"]
    assert len(looks) >= 3
    assert [each.step for each in looks] == list(range(len(looks)))
    assert all(0 < each.value <= 100 for each in looks)
    seen = len(monitor.metrics)
    time.sleep(0.2)
    assert len(monitor.metrics) == seen


def test_what_is_delivered_twice_is_kept_once(record, tmp_path):
    before = history(record.run_id)
    tracker = Tracker()
    points = [each for name in before for each in tracker.client.get_metric_history(record.run_id, name)]
    Delivery(record, points).deliver(tracker)
    assert history(record.run_id) == before
    assert len(tracker.runs()) == 1


@pytest.mark.slow
def test_a_store_is_made_whole_or_not_at_all(home, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "search_experiments", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Tracker()
    assert not [path for path in home.iterdir() if "mlflow.db" in path.name]
    assert Tracker().runs() == []


@pytest.mark.slow
def test_two_processes_may_make_the_same_store_at_once(home):
    command = [
        sys.executable,
        "-c",
        "from benchmark.records.tracking import Tracker; print(len(Tracker().runs()))",
    ]

    def start(_):
        return subprocess.run(command, env=environment(), capture_output=True, text=True)

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(start, range(2)):
            assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_a_damaged_file_is_named(home, store):
    content = bytearray(store.read_bytes())
    content[100 : len(content) // 2] = b"\xff" * (len(content) // 2 - 100)
    store.write_bytes(content)
    with pytest.raises(BenchmarkError, match=f"{store} cannot be used"):
        Tracker().runs()


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_costs_no_result(store, screen, type_):
    """The limit on the size of a file stands for a disk that is full: the system refuses to write more."""
    arguments = ["run", "--method", "no_change", "--dataset", str(screen), "--cells", "20", "--no-anchors"]
    arguments += [f"--{name.replace('_', '-')}={value}" for name, value in COLUMNS.items()]
    limited = (
        "import resource, sys; from benchmark.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({store.stat().st_size},) * 2); main(sys.argv[1:])"
    )
    failed = subprocess.run(
        [sys.executable, "-c", limited, *arguments], env=environment(), capture_output=True, text=True
    )
    assert "Traceback" not in failed.stderr
    assert "mlflow.db cannot be used" in failed.stderr
    assert failed.returncode == 2 or "The result is safe in" in failed.stderr
    assert type_(*arguments)[0] == 0
    assert [run.status for run in Tracker().runs()].count("finished") == 1


def test_a_run_that_finishes_while_others_look_is_not_called_killed(record, monkeypatch):
    """The query saw it running; when its process was looked for, it had finished and ended."""
    tracker = Tracker()
    seen = [run for run in tracker.runs() if run.run_id == record.run_id]
    stale = [type(run)(run.run_id, "killed", run.started, run.tags) for run in seen]
    monkeypatch.setattr(tracker, "runs", lambda query="": stale)
    tracker.close_dead_runs()
    assert Tracker().runs()[0].status == "finished"


@pytest.mark.slow
def test_a_server_that_dies_in_mid_run_gets_the_result_when_it_is_back(server, screen, caplog):
    case = Case(screen)
    task = prepare(request(screen, case.spelt("Counts")))
    tracker = Tracker()
    fit = task.method_class.fit

    def dying(self, train, validation):
        server.kill()
        return fit(self, train, validation)

    task.method_class.fit = dying
    record, _ = perform(task)
    (folder,) = waiting_room().iterdir()
    assert folder.name == record.run_id
    assert f"The result is safe in {folder}" in caplog.text
    with pytest.raises(BenchmarkError, match="cannot be used"):
        Tracker()
    server.start()
    assert [each.status for each in Tracker().runs()] == ["finished"]
    assert not list(waiting_room().iterdir())
    assert tracker.record(record.run_id) == record
    assert perform(task) == (record, False)


def test_a_result_that_waited_takes_back_that_its_run_was_killed(store, record):
    tracker = Tracker()
    tracker.close(record.run_id, "killed", "the process ended without a word")
    assert tracker.finished(record.coordinates.key) is None
    Delivery(record).keep(tracker.uri)
    (run,) = Tracker().runs()
    assert (run.status, run.tags["reason"]) == ("finished", "")


def test_a_method_that_fails_while_the_store_is_away_is_called_failed_when_it_is_back(
    store, screen, monkeypatch, caplog
):
    """Neither a success nor, as a run that nobody closed, a kill."""
    at = prepare(request(screen, "no_change")).coordinates

    def away(self, *ending):
        raise BenchmarkError("The run store cannot be used.")

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "close", away)
        with pytest.raises(ValueError, match="no"), Tracker().recording(at):
            raise ValueError("no")
    assert "is written down when the store is back" in caplog.text
    (run,) = Tracker().runs()
    assert (run.status, run.tags["reason"]) == ("failed", "ValueError: no")
    assert not list(waiting_room().iterdir())


def test_what_waits_for_another_store_is_left_alone(store, record):
    folder = Delivery(record).keep("http://127.0.0.1:1")
    Tracker()
    assert folder.is_dir()


def test_what_no_store_knows_waits_and_stops_nothing(store, record, caplog):
    folder = Delivery(record.model_copy(update={"run_id": "0" * 32})).keep(Tracker().uri)
    assert len(Tracker().runs()) == 1
    assert "still waits for its run store" in caplog.text
    assert folder.is_dir()


def test_a_kill_while_a_delivered_folder_is_removed_stops_nothing(store, record, monkeypatch):
    remove = shutil.rmtree

    def killed(folder, *args, **options):
        if not str(folder).endswith(".delivered"):
            return remove(folder, *args, **options)
        (folder / "delivery.json").unlink()
        raise KeyboardInterrupt

    Delivery(record).keep(Tracker().uri)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            Tracker()
    assert len(Tracker().runs()) == 1


def test_what_cannot_be_kept_whole_leaves_nothing(store, record, tmp_path):
    missing = tmp_path / "not_there.h5ad"
    with pytest.raises(FileNotFoundError):
        Delivery(record, files=[missing]).keep("somewhere")
    assert not list(waiting_room().iterdir())


@pytest.mark.slow
def test_a_server_killed_at_random_moments_loses_and_doubles_nothing(server, screen, kills):
    rng = random.Random(0)
    case = Case(screen)
    for seed in range(kills):
        task = prepare(request(screen, case.spelt("Counts"), seed=seed))
        killer = threading.Timer(rng.uniform(0.1, 3), server.kill)
        killer.start()
        with suppress(BenchmarkError):  # it died before the run had begun: the same run again does it
            perform(task)
        killer.join()
        server.start()
        perform(task)
    finished = Counter(run.tags["seed"] for run in Tracker().runs() if run.status == "finished")
    assert finished == {str(seed): 1 for seed in range(kills)}
    assert not list(waiting_room().glob("*"))
