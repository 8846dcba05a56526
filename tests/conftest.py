"""Every test works in a home of its own, so that nothing of the checkout is read or written by accident."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
REAL_DATA = REPOSITORY.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often the tests of random kills kill: few times as a rule, 20 to be sure."""
    parser.addoption("--kills", type=int, default=3, help="processes that each test of random kills kills")


@pytest.fixture
def kills(pytestconfig) -> int:
    """How many processes to kill at random moments."""
    return pytestconfig.getoption("kills")


@pytest.fixture(scope="session", autouse=True)
def _outside_world():
    """No tracking server of the developer's, and real data where they lie beside a checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        if "BENCHMARK_DATA" not in os.environ and REAL_DATA.is_dir():
            patch.setenv("BENCHMARK_DATA", str(REAL_DATA))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """An empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("BENCHMARK_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory) -> Path:
    """A run store with its tables, which take seconds to create, and nothing in them."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(home, _empty_store) -> Path:
    """The run store of this test's home, empty."""
    return Path(shutil.copy(_empty_store, home / "mlflow.db"))


@pytest.fixture
def type_(capsys):
    """Type a command; returns exit code, stdout and stderr."""
    from benchmark.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def screen(tmp_path) -> Path:
    """A tiny screen."""
    from tests.tiny import write_screen

    return write_screen(tmp_path / "screen.h5ad")
