"""A method in an environment of its own behaves like any other, and its failures are sentences."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from types import SimpleNamespace

import psutil
import pytest
import torch

from benchmark.cli.screen import print_record
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS
from benchmark.hosting import child
from benchmark.records.tracking import Tracker
from benchmark.registry import load_method
from benchmark.runs.run import run
from benchmark.testing import Case, check_method
from tests.hosting.hosted import write_hosted
from tests.machine.process_case import COMMAND, PATIENCE, ended, environment, started, wait_for_end
from tests.tiny import PATH_OPTIONS, request, write_screen

AT_FITTING = {
    "killed": r"fitting, was ended by SIGKILL; perhaps memory ran out:\n  about to fit$",
    "exits": r"fitting, ended with 3; see its last lines:\n  about to fit$",
    "raises": r"fitting, failed \(ZeroDivisionError: division by zero\); see its last lines:\n  about to fit",
    "refuses": r"^The cells are of no use; bring others\.$",
    "full": r"fitting, found the disk full; make room, or set TMPDIR",
    "deleted": r"fitting, failed \(FileNotFoundError: .*model\.npz",
}
AT_PREDICTION = {
    "nan": r"predicting, answered 1 values for G\d+\+G\d+ that are not finite",
    "short": r"predicting, answered an array of shape \(39,\) for G\d+\+G\d+, but \(40,\) is due",
    "few": r"hosted_mean answered 1 of \d+ perturbations",
    "killed": r"predicting, was ended by SIGKILL",
    "deleted": r"predicting, failed \(FileNotFoundError: .*model\.npz",
}
FAILURES = [
    *(("fit", trouble, sentence) for trouble, sentence in AT_FITTING.items()),
    *(("predict", trouble, sentence) for trouble, sentence in AT_PREDICTION.items()),
]
SOON = {("fit", "killed"), ("fit", "raises")}
"""What `make test` tries; each starts a worker, which takes seconds."""
MARKED = [
    pytest.param(*failure, id="-".join(failure[:2]), marks=[] if failure[:2] in SOON else [pytest.mark.slow])
    for failure in FAILURES
]

pytestmark = pytest.mark.divided


@pytest.fixture
def hosted(home):
    return write_hosted(home / "a folder with \u00fcml\u00e4uts")


@pytest.fixture
def screen(home):
    return write_screen(home / "screen.h5ad")


def hanging(hosted, screen, tmp_path, monkeypatch) -> list[str]:
    """A command whose worker hangs beside a child of its own, once it has written their numbers."""
    monkeypatch.setenv("HOSTED_PIDS", str(tmp_path / "pids"))
    return ["run", "--method", hosted, "--dataset", str(screen), *PATH_OPTIONS, "--set", "trouble=hangs"]


@pytest.mark.slow
def test_a_hosted_method_conforms(hosted):
    check_method(load_method(hosted))


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_run_keeps_what_the_worker_says(screen, hosted, caplog):
    caplog.set_level("INFO", "benchmark")
    record, _ = run(request(screen, hosted))
    assert (record.status, record.coverage) == ("finished", 1)
    curve = Tracker().client.get_metric_history(record.run_id, "learn/loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.5), (2, 0.25)]
    assert "hosted_mean: about to fit" in caplog.messages


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_run_records_the_threads_of_the_worker_not_its_own(screen, hosted, caplog, monkeypatch):
    caplog.set_level("INFO", "benchmark")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    record, _ = run(request(screen, hosted))
    assert "hosted_mean: told to use 3 threads, its libraries 3" in caplog.messages
    assert record.threads == 3


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_metrics_of_spread_do_not_apply_to_a_method_that_predicts_means(screen, hosted, capsys):
    record, _ = run(request(screen, hosted))
    absent = {name for name, metric in METRICS.items() if metric.spec.needs == "cells"}
    assert {METRICS[name].spec.family for name in absent} == {"dependence", "distribution", "uncertainty"}
    assert set(METRICS) - set(record.metrics) == absent
    print_record(record, done_now=True)
    said = capsys.readouterr().out.partition(
        "not applicable, as hosted_mean predicts means and not single cells: "
    )[2]
    assert set(said.partition("\n")[0].split(", ")) == absent
    assert absent <= set(run(request(screen))[0].metrics)


@pytest.mark.parametrize(("step", "trouble", "sentence"), MARKED)
def test_what_goes_wrong_in_a_worker_is_one_sentence_and_a_failed_run(
    screen, store, hosted, tmp_path, monkeypatch, step, trouble, sentence
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BenchmarkError, match=sentence):
        run(request(screen, hosted, settings={"trouble": trouble, "step": step}))
    assert [stored.status for stored in Tracker().runs()] == ["failed"]
    assert list(tmp_path.glob("benchmark-*")) == []


def test_a_worker_that_hangs_is_ended_at_its_time_limit(screen, store, hosted, tmp_path, monkeypatch, caplog):
    """By a clock that stands still until the worker hangs, however long it took to start."""
    caplog.set_level("INFO", "benchmark")
    monkeypatch.setenv("HOSTED_PIDS", str(tmp_path / "pids"))
    family = []

    def clock() -> float:
        if not family and "hosted_mean: about to fit" in caplog.messages and (tmp_path / "pids").exists():
            family.extend(psutil.Process(int(pid)) for pid in (tmp_path / "pids").read_text().split())
        return 9.0 if family else 0.0

    monkeypatch.setattr(child, "time", SimpleNamespace(monotonic=clock))
    sentence = r"fitting, was not done after its time limit of 8 s; set time_limit higher:\n  about to fit"
    with pytest.raises(BenchmarkError, match=sentence):
        run(request(screen, hosted, settings={"trouble": "hangs", "time_limit": 8}))
    assert len(family) == 2
    wait_for_end(family)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sign", "status"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "killed"), (signal.SIGKILL, "killed")],
)
def test_no_process_outlives_the_harness(screen, store, hosted, tmp_path, monkeypatch, sign, status):
    command = hanging(hosted, screen, tmp_path, monkeypatch)
    driver = started(command, tmp_path / "pids")
    family = [psutil.Process(int(pid)) for pid in (tmp_path / "pids").read_text().split()]
    assert not any(map(ended, family))
    driver.send_signal(sign)
    driver.communicate(timeout=PATIENCE)
    wait_for_end(family)
    tracker = Tracker()
    tracker.close_dead_runs()
    assert [stored.status for stored in tracker.runs()] == [status]


@pytest.mark.slow
def test_two_runs_at_once_do_not_meet(screen, store, hosted, home):
    arguments = [
        "run",
        "--method",
        hosted,
        "--dataset",
        str(screen),
        *PATH_OPTIONS,
        "--cells",
        "20",
        "--json",
    ]
    both = [
        subprocess.Popen(
            [*COMMAND, *arguments, *PATH_OPTIONS, "--seed", seed],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for seed in "01"
    ]
    records = [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in both]
    assert [record["coordinates"]["seed"] for record in records] == [0, 1]
    alone, _ = run(request(screen, hosted, force=True))
    assert records[0]["scores"] == alone.scores


def test_a_method_that_is_not_installed_says_the_command_and_records_nothing(screen, store, hosted, type_):
    load_method(hosted).environment().pointer.unlink()
    again = f"python -m benchmark install '{hosted}'"
    code, out, err = type_("run", "--method", hosted, "--dataset", screen, *PATH_OPTIONS)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "Error: The method 'hosted_mean' needs an environment of its own, which is not installed; "
        f"run `{again}`."
    )
    assert Tracker().runs() == []


@pytest.mark.slow
def test_a_worker_that_the_harness_interrupts_midway_ends_with_the_iterator(hosted):
    # Other tests may have left helpers of multiprocessing, which live as long as this process.
    before = set(psutil.Process().children(recursive=True))
    case = Case(load_method(hosted))
    answers = case.fitted.predict(case.panel.control, case.panel.questions)
    next(answers)
    workers = set(psutil.Process().children(recursive=True)) - before
    answers.close()
    assert workers
    wait_for_end(list(workers))
