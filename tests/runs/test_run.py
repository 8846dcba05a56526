"""A run leaves a record of what happened, whatever happened."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.board import build_board
from benchmark.cli.screen import print_record
from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.scoring import score
from benchmark.failures import MethodFailedError
from benchmark.predicting import sample_cells
from benchmark.records.archive import file_digest, read_archive
from benchmark.records.tracking import Tracker
from benchmark.runs.request import prepare
from benchmark.runs.run import perform, run
from benchmark.splits import load_split
from tests.machine.process_case import PATIENCE, environment, started, wait_until
from tests.tiny import COLUMNS, PATH_OPTIONS, request, write_methods

pytestmark = pytest.mark.usefixtures("store")

METHODS = """
from collections.abc import Iterator
import os, sys, time
import numpy as np
from scipy.sparse import csr_matrix
from methods.additive import Additive
from methods.train_mean import TrainMean

class Raises(TrainMean):
    name = "raises"
    def fit(self, train, validation):
        raise ValueError("no idea")

class Interrupted(TrainMean):
    name = "interrupted"
    def fit(self, train, validation):
        raise KeyboardInterrupt

class Slow(TrainMean):
    name = "slow"
    def fit(self, train, validation):
        print("a method may print what it likes")
        open("started", "w").close()
        if not os.path.exists("go"):
            time.sleep(3600)
        return super().fit(train, validation)

class NotFinite(TrainMean):
    name = "not_finite"
    def predict(self, control, perturbations):
        for cells in super().predict(control, perturbations):
            cells[0, 0] = np.nan
            yield cells

class Negative(TrainMean):
    name = "negative"
    def predict(self, control, perturbations):
        for cells in super().predict(control, perturbations):
            yield cells - 20

class WrongShape(TrainMean):
    name = "wrong_shape"
    def predict(self, control, perturbations):
        for cells in super().predict(control, perturbations):
            yield cells[:-1]

class TooFew(TrainMean):
    name = "too_few"
    def predict(self, control, perturbations):
        yield from super().predict(control, perturbations[:-1])

class TooMany(TrainMean):
    name = "too_many"
    def predict(self, control, perturbations):
        yield from super().predict(control, [*perturbations, perturbations[0]])

class Sparse(TrainMean):
    name = "sparse"
    def predict(self, control, perturbations):
        yield from (csr_matrix(cells) for cells in super().predict(control, perturbations))

class Ends(TrainMean):
    name = "ends"
    def predict(self, control, perturbations):
        sys.exit(0)

class OneArray(Additive):
    name = "one_array"
    def predict(self, control, perturbations):
        array = np.empty(control.shape, dtype=np.float32)
        for cells in super().predict(control, perturbations):
            array[:] = cells
            yield array

class Choosy(Additive):
    name = "choosy"
    def unsupported(self, perturbation):
        return "it starts with the wrong gene" if perturbation.genes[0] < REFUSED_BELOW else None
"""


@pytest.fixture
def own_methods(tmp_path):
    return write_methods(tmp_path, METHODS)


def test_the_record_can_be_recomputed_from_its_archive(screen, tmp_path):
    record, done_now = run(request(screen))
    assert done_now
    tracker = Tracker()
    path = tracker.client.download_artifacts(record.run_id, record.archive, str(tmp_path))
    dataset = load_dataset(str(screen), **COLUMNS)
    split = load_split(dataset, "doubles", 0)
    again = score(dataset, split, read_archive(path, list(dataset.adata.var_names)))
    for name, values in record.scores.items():
        np.testing.assert_array_equal(again.loc[record.perturbations, name], np.array(values, dtype=float))
    assert record.archive_sha256 == file_digest(type(tmp_path)(path))


def test_everything_that_traces_a_number_is_in_the_record(screen, monkeypatch, capsys):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    record, done_now = run(request(screen, seed=1))
    print_record(record, done_now)
    assert "at most, cpu, 7 threads;" in capsys.readouterr().out
    at = record.coordinates
    dataset = load_dataset(str(screen), **COLUMNS)
    assert at.dataset_digest == dataset.digest
    assert at.split_digest == load_split(dataset, "doubles", 1).digest
    assert (at.method, at.seed, at.cells, at.config) == ("additive", 1, 20, {})
    assert set(record.seconds) >= {"fit", "predict", "metrics", "total"}
    assert record.peak_memory_mb > 50
    assert record.versions["python"] == sys.version.split()[0]
    assert record.threads == 7
    assert record.coverage == 1
    assert set(record.metric_versions) == set(record.metrics)


def test_the_same_coordinates_again_show_the_finished_run(screen):
    first, _ = run(request(screen))
    second, done_now = run(request(screen))
    assert not done_now
    assert second == first


def test_force_repeats_and_gives_the_same_numbers(screen):
    first, _ = run(request(screen))
    second, done_now = run(request(screen, force=True))
    assert done_now
    assert second.run_id != first.run_id
    assert second.scores == first.scores
    assert second.archive_sha256 == first.archive_sha256


def test_another_configuration_is_another_run(screen):
    first, _ = run(request(screen, "main_effects"))
    second, done_now = run(request(screen, "main_effects", settings={"penalty": "2"}))
    assert done_now
    assert second.coordinates.configuration == "penalty=2.0"
    assert second.coordinates.key != first.coordinates.key


@pytest.mark.parametrize(
    ("name", "error", "sentence", "status"),
    [
        ("Raises", MethodFailedError, "raises failed while fitting: ValueError: no idea", "failed"),
        ("Interrupted", KeyboardInterrupt, None, "interrupted"),
        ("NotFinite", BenchmarkError, "not_finite predicted 1 values for .* not finite", "failed"),
        ("Negative", BenchmarkError, "never negative", "failed"),
        (
            "WrongShape",
            BenchmarkError,
            r"a float32 ndarray of shape \(19, 40\) .* of shape \(20, 40\)\.$",
            "failed",
        ),
        ("TooFew", BenchmarkError, "answered 2 of 3", "failed"),
        ("TooMany", BenchmarkError, "answered 4 of 3", "failed"),
        ("Sparse", BenchmarkError, r"predicted a float32 csr_matrix of shape \(20, 40\) for", "failed"),
        ("Ends", MethodFailedError, r"while predicting: it ended the process \(sys\.exit\(0\)\)", "failed"),
    ],
)
def test_a_run_that_fails_says_so_on_the_board(screen, own_methods, name, error, sentence, status):
    with pytest.raises(error, match=sentence):
        run(request(screen, f"{own_methods}:{name}"))
    (block,) = build_board(Tracker().runs())
    (row,) = block.rows
    assert (row.status, row.rank) == (status, None)
    assert row.reason


def test_a_method_may_yield_one_array_again_and_again(screen, own_methods):
    """Each answer is copied as it comes."""
    reused, _ = run(request(screen, f"{own_methods}:OneArray"))
    fresh, _ = run(request(screen, "additive"))
    assert reused.scores == fresh.scores


def test_a_refused_perturbation_gets_the_train_mean_and_counts_as_a_fallback(screen, tmp_path):
    dataset = load_dataset(str(screen), **COLUMNS)
    test = load_split(dataset, "doubles", 0).test
    path = tmp_path / "choosy.py"
    path.write_text(METHODS.replace("REFUSED_BELOW", repr(sorted(test)[1].split("+")[0])))
    choosy, _ = run(request(screen, f"{path}:Choosy"))
    mean, _ = run(request(screen, "train_mean"))
    additive, _ = run(request(screen, "additive"))
    refused = set(choosy.fallbacks)
    assert refused
    assert choosy.coverage == pytest.approx(1 - len(refused) / len(test))
    for index, label in enumerate(choosy.perturbations):
        expected = mean if label in refused else additive
        assert choosy.scores["mse"][index] == pytest.approx(expected.scores["mse"][index], rel=1e-4)


def test_the_cells_that_predictions_start_from_are_drawn_once_per_seed(screen):
    adata = load_dataset(str(screen), **COLUMNS).adata
    control = adata[adata.obs["perturbation"] == "control"]
    one, again, other = (sample_cells(control, 30, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.X.toarray(), again.X.toarray())
    assert (one.X.toarray() != other.X.toarray()).any()
    assert len({tuple(row) for row in one.X.toarray()}) == 30
    assert sample_cells(control, 100, 0).n_obs == 40


def start_slow_run(screen, own_methods, folder):
    command = ["run", "--method", f"{own_methods}:Slow", "--dataset", str(screen), *PATH_OPTIONS]
    return started([*command, "--cells", "20"], folder / "started", folder)


@pytest.mark.slow
def test_a_killed_run_leaves_a_record_that_says_so_and_is_repeated(screen, own_methods, tmp_path):
    process = start_slow_run(screen, own_methods, tmp_path)
    process.kill()
    process.communicate()
    (killed,) = Tracker().runs()
    assert killed.status == "killed"
    (tmp_path / "go").touch()
    done = subprocess.run(
        [*process.args, "--json", "--no-anchors"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    statuses = {run.run_id: run.tags["status"] for run in Tracker().runs()}
    assert statuses.pop(killed.run_id) == "killed"
    assert list(statuses.values()) == ["finished"]


def test_ctrl_c_exits_with_130_and_the_record_says_interrupted(screen, own_methods, tmp_path):
    process = start_slow_run(screen, own_methods, tmp_path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("Interrupted;")
    (run,) = Tracker().runs()
    assert run.status == "interrupted"


def test_who_comes_second_waits_and_is_shown_what_the_first_has_done(screen, caplog):
    """The first has begun when the second asks, and has not finished."""
    task = prepare(request(screen, "train_mean"))
    begun, go_on = threading.Event(), threading.Event()

    class Slow(task.method_class):
        def fit(self, train, validation):
            begun.set()
            assert go_on.wait(PATIENCE)
            return super().fit(train, validation)

    caplog.set_level("INFO", "benchmark")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(perform, replace(task, method_class=Slow))
        assert begun.wait(PATIENCE)
        second = pool.submit(perform, task)
        wait_until("the second waits", lambda: "Another process does the same run" in caplog.text)
        go_on.set()
        record, now = first.result()
        assert now
        assert second.result() == (record, False)


@pytest.mark.slow
def test_a_run_of_a_baseline_imports_nothing_that_takes_a_second_for_a_function(screen):
    """Of a data set without batches; whether SciPy's distributions are there decides its processor time."""
    code = (
        "import sys\nfrom benchmark.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit as end: "
        "assert not end.code\nprint([m for m in ('scipy.stats', 'sklearn', 'torch') if m in sys.modules])"
    )
    typed = ["run", "--method", "additive", "--dataset", str(screen), "--no-anchors", *PATH_OPTIONS]
    done = subprocess.run([sys.executable, "-c", code, *typed], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
