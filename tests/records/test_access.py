"""A store that may be read and not written, or that lies where MLflow does not find it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmark.records.tracking import Tracker
from benchmark.runs.run import run
from tests.machine.process_case import COMMAND, environment
from tests.tiny import PATH_OPTIONS, request


@pytest.fixture
def bound(home):
    """What keeps a process from writing where it has no right, the superuser's, too."""
    wrapper = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("the superuser writes everywhere")
    yield [*(wrapper if os.geteuid() == 0 else []), *COMMAND]
    for folder, _, _ in os.walk(home):
        Path(folder).chmod(0o755)


def typed(bound, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run([*bound, *map(str, arguments)], capture_output=True, text=True, env=environment())


def protect(home):
    for folder, _, files in os.walk(home):
        for name in files:
            (Path(folder) / name).chmod(0o444)
        Path(folder).chmod(0o555)


@pytest.mark.slow
def test_a_store_that_may_only_be_read_is_read(home, store, screen, bound, tmp_path):
    record, _ = run(request(screen, "additive"))
    protect(home)
    board = typed(bound, "leaderboard", "--json")
    assert (board.returncode, record.run_id in board.stdout) == (0, True), board.stderr
    data = ("--dataset", screen, *PATH_OPTIONS)
    again = typed(bound, "run", "--method", "additive", *data, "--cells", "20", "--no-anchors")
    assert (again.returncode, "--force repeats it" in again.stdout) == (0, True), again.stderr
    new = typed(bound, "run", "--method", "train_mean", *data, "--cells", "20", "--no-anchors")
    assert new.returncode == 2
    assert new.stderr.strip().splitlines()[-1].startswith(f"Error: The folder {home} cannot be written")


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_one_sentence_at_once(home, bound):
    home.chmod(0o555)
    done = typed(bound, "leaderboard")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"Error: The folder {home} cannot be written")


@pytest.mark.parametrize("name", ["50%", "what?"])
def test_a_path_that_mlflow_misreads_is_one_sentence_at_once(tmp_path, monkeypatch, type_, name):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.setenv("BENCHMARK_HOME", str(folder))
    code, _, err = type_("leaderboard")
    assert code == 2
    assert f"MLflow does not take '{name[-1]}' in a path" in err
    assert list(folder.iterdir()) == []


def test_a_hash_in_the_path_is_taken(tmp_path, monkeypatch, store, type_):
    folder = tmp_path / "a#b"
    folder.mkdir()
    shutil.copy(store, folder / "mlflow.db")
    monkeypatch.setenv("BENCHMARK_HOME", str(folder))
    assert Tracker().runs() == []
