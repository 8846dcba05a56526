"""``run --devices``: one run by several processes; the first one speaks, and none outlives the others."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import contextmanager

import anndata as ad
import numpy as np
import psutil
import pytest

from benchmark.records.record import Coordinates, Record
from benchmark.records.tracking import Tracker
from benchmark.runs.run import run
from tests.machine.process_case import COMMAND, PATIENCE, environment, wait_until
from tests.tiny import PATH_OPTIONS, request

TINY = {
    "width": 8,
    "steps": 4,
    "batch_size": 4,
    "perturbations_per_step": 1,
    "genes_per_step": 16,
    "graph_neighbours": 2,
}
SETTINGS = {**TINY, "precision": "float32", "expression_ode_steps": 1, "checks": 1}
ENDLESS = {**SETTINGS, "steps": 1_000_000, "checkpoint_steps": 1}


def command(screen, settings: dict, method: str = "scdfm") -> list[str]:
    """The command that a test types."""
    chosen = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    options = ["--cells", "20", "--device", "cpu", "--no-anchors", "--devices", "2", "--json"]
    return [*COMMAND, "run", "--method", method, "--dataset", str(screen), *PATH_OPTIONS, *options, *chosen]


@contextmanager
def under_way(screen, home):
    """Start a run that never ends, and wait for its first checkpoint; gives it and its two processes."""
    process = subprocess.Popen(
        command(screen, ENDLESS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        checkpoints = "datasets/cache/checkpoints/*.pt"
        wait_until("a checkpoint is written", lambda: list(home.glob(checkpoints)), process)
        children = psutil.Process(process.pid).children()
        yield (
            process,
            sorted(
                (child for child in children if "spawn_main" in " ".join(child.cmdline())),
                key=lambda child: child.create_time(),
            ),
        )
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_two_processes_predict_the_cells_of_one_with_twice_the_batch(screen, store):
    done = subprocess.run(
        command(screen, SETTINGS), capture_output=True, text=True, env=environment(), timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    together = Record.model_validate_json(done.stdout)
    assert together.coordinates.devices == 2
    alone, _ = run(request(screen, "scdfm", settings={**SETTINGS, "batch_size": 8}, device="cpu"))
    tracker = Tracker()
    cells = [
        ad.read_h5ad(tracker.artifact(record.run_id, record.archive, screen.parent))
        for record in (together, alone)
    ]
    assert list(cells[0].obs["perturbation"]) == list(cells[1].obs["perturbation"])
    # Rounding moves them by 1e-6, with any number of threads; the batch of one process alone by 0.2.
    np.testing.assert_allclose(*(_dense(part) for part in cells), atol=2e-3)
    assert len(tracker.runs()) == 2


def _dense(cells: ad.AnnData) -> np.ndarray:
    return cells.X if isinstance(cells.X, np.ndarray) else cells.X.toarray()


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_with_one_sentence(screen, store, home):
    with under_way(screen, home) as (process, (first, second)):
        second.kill()
        printed, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2, said
        assert not printed
        assert said.count("Error") == 1
        assert "Process 1 of 2 (counted from 0) was killed by SIGKILL" in said
        assert not first.is_running()
    assert [run.status for run in Tracker().runs()] == ["failed"]


@pytest.mark.slow
def test_an_interrupt_ends_all_processes_and_is_recorded(screen, store, home):
    with under_way(screen, home) as (process, both):
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert not printed
        assert said.count("Interrupted") == 1
        assert not any(each.is_running() for each in both)
    assert [run.status for run in Tracker().runs()] == ["interrupted"]


@pytest.mark.slow
def test_a_method_that_cannot_share_its_training_says_so_once(screen, store):
    done = subprocess.run(
        command(screen, {}, "linear"), capture_output=True, text=True, env=environment(), timeout=PATIENCE
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "Error: linear works on one device alone; leave out --devices."


def test_the_number_of_devices_is_part_of_a_key_only_where_there_are_several():
    ones = ("samples", "devices", "budget", "train_share")
    texts = Coordinates.model_fields.keys() - {"config", "seed", "cells", *ones}
    at = Coordinates(**dict.fromkeys(texts, "x"), **dict.fromkeys(ones, 1), config={}, seed=0, cells=2)
    old = json.loads(at.model_dump_json(exclude={"devices"}))
    assert Coordinates(**old).key == at.key
    assert at.model_copy(update={"devices": 2}).key != at.key


@pytest.mark.parametrize("asked", ["0", "-1", "two"])
def test_a_number_of_devices_that_is_none_is_refused(asked, type_):
    code, printed, said = type_("run", "--method", "scdfm", "--devices", asked)
    assert code == 2
    assert not printed
    assert "--devices" in said
