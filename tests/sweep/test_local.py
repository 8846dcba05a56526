"""Sweeps by processes of this machine, some of which are killed: no result is lost, none counted twice."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import threading
import time
from collections import Counter

import psutil
import pytest

from benchmark.records.tracking import Tracker
from benchmark.sweep.sweep import Where, sweep
from tests.machine.process_case import COMMAND, PATIENCE, environment, started, wait_for_end
from tests.sweep.sweep_case import Case, finished_by_run
from tests.tiny import PATH_OPTIONS

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def case(screen):
    return Case(screen)


@pytest.fixture
def command(case):
    """The arguments of a sweep without anchors over the screen."""

    def arguments(*methods, jobs=2, seeds="0"):
        names = ",".join(case.spelt(name) for name in methods)
        about = ["--datasets", str(case.screen), "--cells", "20", "--no-anchors", *PATH_OPTIONS]
        return ["sweep", "--methods", names, "--seeds", seeds, "--jobs", str(jobs), *about]

    return arguments


def states(done):
    return Counter(outcome.state for _, outcome in done)


def children(process):
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
def test_the_same_sweep_again_finds_everything_done(case):
    plan = case.plan("additive", "linear", seeds=(0, 1), anchors=True)
    assert states(sweep(plan, Where(jobs=2))) == {"done": 12}
    assert states(sweep(plan, Where())) == {"before": 12}
    assert set(finished_by_run().values()) == {1}


@pytest.mark.slow
def test_failures_and_lost_workers_stop_nothing(case):
    names = [case.spelt(name) for name in ("Fails", "Dies", "DiesOnce")]
    done = sweep(case.plan(*names, "linear"), Where(jobs=2))
    found = {job.method.rpartition(":")[2]: outcome for job, outcome in done}
    assert found["linear"].state == found["DiesOnce"].state == "done"
    assert found["Fails"].reason == "It cannot learn."
    assert found["Dies"].reason.startswith("its worker ended 3 times")
    assert finished_by_run() == {("linear", "0"): 1, ("dies_once", "0"): 1}


@pytest.mark.slow
def test_the_board_at_the_end_is_that_of_the_leaderboard(screen, type_):
    about = ["--datasets", screen, "--cells", "20", "--no-anchors", *PATH_OPTIONS]
    code, swept, err = type_("sweep", "--methods", "additive,linear", *about)
    assert code == 0, err
    assert type_("leaderboard")[1] in swept


def workers(process):
    """The processes that a sweep in this process or another has started to do its runs."""
    return [child for child in children(process) if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.slow
def test_workers_killed_at_random_moments_cost_nothing(case, kills):
    """Where a worker is lost too often in the same run, that run fails, and the same sweep does it."""
    rng = random.Random(0)
    killed, over = [], threading.Event()

    def kill():
        while len(killed) < kills and not over.wait(rng.uniform(0.5, 4)):
            with contextlib.suppress(psutil.NoSuchProcess, IndexError):
                worker = rng.choice(workers(psutil.Process()))
                worker.kill()
                killed.append(worker)

    killer = threading.Thread(target=kill)
    killer.start()
    seeds = 0
    try:
        while killer.is_alive():
            seeds += 6
            sweep(case.plan(case.spelt("Counts"), seeds=range(seeds)), Where(jobs=2))
    finally:
        over.set()
        killer.join()
    assert len(killed) == kills
    done = sweep(case.plan(case.spelt("Counts"), seeds=range(seeds)), Where(jobs=2))
    assert states(done)["failed"] == 0
    assert finished_by_run() == {("counts", str(seed)): 1 for seed in range(seeds)}


@pytest.mark.slow
def test_a_driver_killed_at_random_moments_goes_on_where_it_was(command, kills):
    rng = random.Random(1)
    for last in range(kills):
        arguments = [*COMMAND, *command("Counts", seeds=f"0-{last}")]
        process = subprocess.Popen(arguments, env=environment(), stderr=subprocess.DEVNULL)
        while process.poll() is None and not workers(process):
            time.sleep(0.1)
        time.sleep(rng.uniform(0, 8))
        its = children(process) if process.poll() is None else []
        process.kill()
        process.wait()
        wait_for_end(its)
    subprocess.run(arguments, env=environment(), check=True, stderr=subprocess.DEVNULL)
    assert finished_by_run() == {("counts", str(seed)): 1 for seed in range(kills)}
    assert not [run for run in Tracker().runs() if run.status == "running"]


@pytest.mark.slow
def test_two_sweeps_at_once_do_every_run_once(case, command):
    arguments = [*COMMAND, *command("Counts", seeds="0-3", jobs=1)]
    both = [subprocess.Popen(arguments, env=environment(), stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    seeds = [line.split()[0] for line in (case.file.parent / "fits").read_text().splitlines()]
    assert sorted(seeds) == [str(seed) for seed in range(4)]
    assert set(finished_by_run().values()) == {1}


@pytest.mark.slow
def test_ctrl_c_ends_every_process_and_the_run_is_recorded_so(case, command, monkeypatch):
    monkeypatch.setenv("SLOW", "3600")
    process = started(command("Slow", jobs=1), case.file.parent / "began-0")
    its = children(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Interrupted" in said
    assert "Traceback" not in said
    wait_for_end(its)
    assert [run.status for run in Tracker().runs()] == ["interrupted"]


@pytest.mark.slow
def test_the_command_says_what_failed_and_exits_with_one(command, type_):
    code, out, _ = type_(*command("Fails", "Counts", jobs=1))
    assert code == 1
    assert "1 runs done, 0 were done before, 1 failed" in out
    assert "It cannot learn." in out
    assert "counts" in out.partition("runs done")[0]


def test_a_damaged_store_is_one_sentence_and_nothing_begins(case, command, store, type_):
    store.write_text("This is no database. " * 100)
    code, _, err = type_(*command("Counts"))
    assert code == 2
    assert f"{store} cannot be used" in err
    assert not (case.file.parent / "fits").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--methods", "linear", "--executor", "slurm"], "slurm"),
        (["--methods", "linear", "--address", "auto"], "--executor ray"),
        (["--methods", "linear", "--jobs", "0"], "At least 1 job"),
        (["--methods", "linear", "--datasets", "simulatd"], "did you mean 'simulated'"),
        (["--methods", "linear", "--seeds", "0-999999999"], "more than 100,000 seeds"),
        (["--methods", "linear", "--cells", "1"], "At least 2 cells"),
        ([], "A sweep needs methods"),
    ],
)
def test_wrong_options_are_one_sentence(type_, options, said):
    code, _, err = type_("sweep", *options)
    assert code == 2
    assert said in err
