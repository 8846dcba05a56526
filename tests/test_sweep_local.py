"""Sweeps by processes of this machine, some of which are killed: no result is lost, none counted twice."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter

import psutil
import pytest

from benchmark.sweep.sweep import Where, sweep
from benchmark.tracking import Tracker
from tests.process_case import COMMAND, environment, started
from tests.sweep_case import Case, finished_by_run
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
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.is_running()]


def test_the_same_sweep_again_finds_everything_done(case):
    plan = case.plan("additive", "linear", seeds=(0, 1), anchors=True)
    assert states(sweep(plan, Where(jobs=2))) == {"done": 10}
    assert states(sweep(plan, Where(jobs=2))) == {"before": 10}
    assert set(finished_by_run().values()) == {1}


def test_failures_and_lost_workers_stop_nothing(case):
    names = [case.spelt(name) for name in ("Fails", "Dies", "DiesOnce")]
    done = sweep(case.plan(*names, "linear", seeds=(0, 1)), Where(jobs=2))
    found = {(job.method.rpartition(":")[2], job.seed): outcome for job, outcome in done}
    for seed in (0, 1):
        assert found["linear", seed].state == found["DiesOnce", seed].state == "done"
        assert found["Fails", seed].reason == "It cannot learn."
        assert found["Dies", seed].reason.startswith("its worker ended 3 times")
    assert finished_by_run() == {(name, seed): 1 for name in ("linear", "dies_once") for seed in ("0", "1")}


def test_workers_killed_at_random_moments_cost_nothing(command):
    """Ten kills; a worker that is lost too often in the same run fails it, and the same command does it."""
    rng = random.Random(0)
    arguments = command("Counts", seeds="0-7")
    kills = 0
    for _ in range(8):
        process = subprocess.Popen([*COMMAND, *arguments], env=environment(), stderr=subprocess.DEVNULL)
        while process.poll() is None:
            time.sleep(rng.uniform(1.0, 3.0))
            workers = [child for child in children(process) if "spawn_main" in " ".join(child.cmdline())]
            if workers and kills < 10:
                rng.choice(workers).kill()
                kills += 1
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert kills > 0
    assert finished_by_run() == {("counts", str(seed)): 1 for seed in range(8)}


def test_a_driver_killed_at_random_moments_goes_on_where_it_was(command):
    rng = random.Random(1)
    arguments = command("Counts", seeds="0-5")
    for _ in range(4):
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(2, 9))
        its = children(process) if process.poll() is None else []
        process.kill()
        process.wait()
        psutil.wait_procs(its, timeout=30)
        assert not [child for child in its if child.is_running()]
    subprocess.run([*COMMAND, *arguments], env=environment(), check=True, stderr=subprocess.DEVNULL)
    assert finished_by_run() == {("counts", str(seed)): 1 for seed in range(6)}
    assert not [run for run in Tracker().runs() if run.status == "running"]


def test_two_sweeps_at_once_do_every_run_once(case, command):
    arguments = [*COMMAND, *command("Counts", seeds="0-5")]
    both = [subprocess.Popen(arguments, env=environment(), stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    seeds = [line.split()[0] for line in (case.file.parent / "fits").read_text().splitlines()]
    assert sorted(seeds) == [str(seed) for seed in range(6)]
    assert set(finished_by_run().values()) == {1}


def test_ctrl_c_ends_every_process_and_the_run_is_recorded_so(case, command, monkeypatch):
    monkeypatch.setenv("SLOW", "600")
    process = started(command("Slow", jobs=1), case.file.parent / "began-0")
    its = children(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Interrupted" in said
    assert "Traceback" not in said
    psutil.wait_procs(its, timeout=30)
    assert not [child for child in its if child.is_running()]
    assert [run.status for run in Tracker().runs()] == ["interrupted"]


def test_the_command_says_what_failed_and_exits_with_one(command):
    found = subprocess.run(
        [*COMMAND, *command("Fails", "Counts", jobs=1)], env=environment(), capture_output=True, text=True
    )
    assert found.returncode == 1
    assert "1 runs done, 0 were done before, 1 failed" in found.stdout
    assert "It cannot learn." in found.stdout
    assert "counts" in found.stdout.partition("runs done")[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--methods", "linear", "--executor", "slurm"], "slurm"),
        (["--methods", "linear", "--address", "auto"], "--executor ray"),
        (["--methods", "linear", "--jobs", "0"], "At least 1 job"),
        ([], "A sweep needs methods"),
    ],
)
def test_wrong_options_are_one_sentence(type_, options, said):
    code, _, err = type_("sweep", *options)
    assert code == 2
    assert said in err
