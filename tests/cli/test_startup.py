"""Commands import what they need when they need it: those that only read wait for nothing that computes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.machine.process_case import environment
from tests.tiny import PATH_OPTIONS

TYPED = """
import sys
from benchmark.cli import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
TRACKS = {"mlflow", "alembic", "sqlalchemy"}
COMPUTES = {"numba", "sklearn", "torch", "matplotlib"}
CELLS = {"anndata", "pandas", "h5py", "scipy"}


def imported(*arguments: object) -> set[str]:
    """Type a command, and say what it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", TYPED, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.fixture
def asked(store, screen):
    return ["run", "--method", "additive", "--dataset", screen, *PATH_OPTIONS, "--cells", "20"]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["methods"], ["metrics"], ["doctor"], ["run", "--help"]], ids=" ".join
)
def test_what_asks_for_no_data_imports_neither_data_nor_store(arguments):
    assert imported(*arguments).isdisjoint(TRACKS | COMPUTES | CELLS)


@pytest.mark.slow
def test_a_finished_run_is_shown_without_its_data_and_without_mlflow(asked):
    assert imported(*asked, "--no-anchors") >= TRACKS | CELLS | {"numba"}
    assert imported(*asked, "--no-anchors").isdisjoint(TRACKS | COMPUTES | CELLS)


@pytest.mark.slow
def test_anchors_that_are_there_are_found_without_computing_and_without_mlflow(asked, type_):
    assert type_(*asked)[0] == 0
    assert imported(*asked).isdisjoint(TRACKS | COMPUTES)


def test_the_leaderboard_is_shown_without_cells_and_without_mlflow(asked, type_):
    assert type_(*asked, "--no-anchors")[0] == 0
    assert imported("leaderboard").isdisjoint(TRACKS | COMPUTES | {"anndata"})
