"""Every test works in a home of its own, so that nothing of the checkout is read or written by accident."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from filelock import FileLock

from benchmark.errors import BenchmarkError
from benchmark.machine.extras import lacking
from benchmark.registry import missing_extras

WORKER = "PYTEST_XDIST_WORKER"
if WORKER in os.environ:  # workers share the cores; libraries look at this when they are imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).parents[1]
REAL_DATA = REPOSITORY.parent / "shared" / "data"


if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # what a shell puts in the background never hears Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often tests of random kills kill, 20 times to be sure; and a share of the modules, for CI."""
    parser.addoption("--kills", type=int, default=3, help="processes that each test of random kills kills")
    parser.addoption(
        "--share", type=share, default=(0, 1), metavar="I/N", help="one of N shares of the modules, from 0"
    )


def share(text: str) -> tuple[int, int]:
    """Read which of how many shares."""
    index, count = (int(part) for part in text.split("/"))
    if not 0 <= index < count:
        raise ValueError(f"there is no share {text}")
    return index, count


LACKING = lacking()
"""Modules that an extra would give -> that extra; empty in a checkout, whose set-up installs all of them."""
IMPORTS = re.compile(r"^(?:from|import) (\w+)(?:\.(\w+))?", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave a module alone that needs what an extra would give."""
    if not LACKING or collection_path.suffix != ".py":
        return None
    found = IMPORTS.findall(collection_path.read_text(encoding="utf-8"))
    needs = {package for package, _ in found} & LACKING.keys()
    methods = {module for package, module in found if package == "methods"} & missing_extras().keys()
    return True if needs or methods else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Skip a test that cannot be prepared without what an extra would give."""
    return (yield from skipping())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Skip a test that finds in its course that it needs what an extra would give."""
    return (yield from skipping())


def skipping() -> Iterator[None]:
    """Turn the error of a package that is missing into a skip; where nothing is, into nothing."""
    try:
        return (yield)
    except BenchmarkError as error:
        if LACKING and "is needed for this, and not installed" in str(error):
            pytest.skip(str(error))
        raise


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A module stays on one worker, which makes once what its tests share; long ones may be divided."""
    index, count = config.getoption("--share")
    mine: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        module = item.nodeid.partition("::")[0]
        (mine if crc32(module.encode()) % count == index else others).append(item)
    items[:] = mine
    config.hook.pytest_deselected(items=others)
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            divided = item.get_closest_marker("divided") is not None
            group = item.nodeid if divided else item.nodeid.partition("::")[0]
            item.add_marker(pytest.mark.xdist_group(group))


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
def shared(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Give a folder that is filled once, whichever worker needs it first, and read by all of them."""
    own = tmp_path_factory.getbasetemp()
    root = own.parent if WORKER in os.environ else own

    def filled(name: str, fill: Callable[[Path], object]) -> Path:
        folder = root / f"shared-{name}"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                draft = root / f"draft-{name}"
                draft.mkdir()
                fill(draft)
                draft.rename(folder)
        return folder

    return filled


@pytest.fixture(scope="session")
def _empty_store(shared) -> Path:
    """A run store with its tables, which take seconds to create, and nothing in them."""

    def create(folder: Path) -> None:
        from mlflow.tracking import MlflowClient

        MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()

    return shared("store", create) / "mlflow.db"


@pytest.fixture(scope="session")
def _simulated_cache(shared) -> Path:
    """A cache with the prepared cells of `simulated` and their truth."""

    def prepare(folder: Path) -> None:
        from benchmark.data import load_dataset

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BENCHMARK_HOME", str(folder))
            load_dataset("simulated")

    return shared("simulated", prepare) / "datasets" / "cache"


@pytest.fixture
def simulated(home, _simulated_cache) -> Path:
    """This test's home, with the data set `simulated` prepared."""
    shutil.copytree(_simulated_cache, home / "datasets" / "cache", copy_function=os.link, dirs_exist_ok=True)
    return home


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
