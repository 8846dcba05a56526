"""What keeping runs costs: a share of a flow's short training, and the harness around fit, predict, metrics.

    python perf/tracking.py [training] [overhead]     both unless named

A tracked training is a run that is opened, trained with its curves and the load of the machine kept, and
closed; the bare one calls `fit` alone, on the same cells with the same seed. They take turns, so that other
work on the machine disturbs both; CPU seconds are of all threads of the process, and are disturbed least.
Where it disturbs more than tracking costs, the tracked run whose training does nothing but report as many
steps says what opening, keeping and closing take. Of the overhead, CPU seconds are an upper bound: fit,
predict and metrics are in them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROUNDS, RUNS = 10, 5
REQUEST = {"method": "grnflow_sparse_pca", "preset": "smoke", "settings": {"steps": "200"}}
KERNEL = ("fit", "predict", "metrics")


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a piece of work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure_training() -> None:
    """Print how much longer the training takes in a run that is tracked."""
    from benchmark.machine.progress import CurveKeeper, report_to
    from benchmark.records.tracking import Tracker
    from benchmark.runs.request import Request, prepare
    from benchmark.splits.views import training_views

    task = prepare(Request(**REQUEST))
    views = training_views(task.dataset, task.split)
    tracker = Tracker()

    def bare() -> None:
        task.method_class(task.config, seed=0, device="cpu").fit(*views)

    def tracked(work: Callable[[], None] = bare) -> None:
        with tracker.recording(task.coordinates) as recording, report_to(curves := CurveKeeper()):
            work()
            recording.write_curves(curves.curves)

    bare()
    rounds = []
    for number in range(ROUNDS):  # each goes first in every other round, so that neither gains by its place
        first, second = (bare, tracked) if number % 2 == 0 else (tracked, bare)
        times = {work: measured(work) for work in (first, second)}
        rounds.append((times[bare], times[tracked]))
    for index, kind in enumerate(("wall", "CPU")):
        without, with_ = ([pair[which][index] for pair in rounds] for which in (0, 1))
        ratio = statistics.median(after / before for before, after in zip(without, with_, strict=True))
        print(
            f"training, {kind}: {statistics.median(without):.2f} s bare, {statistics.median(with_):.2f} s "
            f"tracked, {100 * (ratio - 1):+.1f} % (medians of {ROUNDS} rounds; target under 3 %)"
        )
    wall, cpu = zip(*(measured(lambda: tracked(report_steps)) for _ in range(ROUNDS)), strict=True)
    share = 100 * statistics.median(wall) / statistics.median(pair[0][0] for pair in rounds)
    print(
        f"a tracked run that only reports its steps: {statistics.median(wall):.3f} s, "
        f"{statistics.median(cpu):.3f} s of CPU (medians of {ROUNDS}), {share:.1f} % of that training"
    )


def report_steps() -> None:
    """Report as many steps as the training has, with as many values, and nothing else."""
    from benchmark.machine.progress import stage

    values = dict.fromkeys(("loss", "expr_r2", "latent_r2", "validation", "waiting"), 0.5)
    total = int(REQUEST["settings"]["steps"])
    with stage("train flow", total) as bar:
        for _ in range(total):
            bar.advance(**values)


def measure_overhead() -> None:
    """Print what a baseline run takes beside its fit, predict and metrics, alone and among others."""
    from benchmark.runs.request import Request
    from benchmark.runs.run import run

    command = [sys.executable, "-m", "benchmark", "run", "--method", "train_mean", "--no-anchors", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    alone, together = [], []
    for number in range(RUNS + 1):
        run(Request(method="no_change", seed=number, cells=2))  # freezes the split
        asked = [*command, "--seed", str(number)]
        start, before = time.perf_counter(), os.times()
        done = subprocess.run(asked, check=True, capture_output=True, text=True, env=environment)
        wall, after = time.perf_counter() - start, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        alone.append((wall - kernel(json.loads(done.stdout)["seconds"]), cpu))
        start, started = time.perf_counter(), time.process_time()
        record, _ = run(Request(method="train_mean", seed=number, force=True))
        together.append((time.perf_counter() - start - kernel(record.seconds), time.process_time() - started))
    for kind, runs in (("as one command", alone), ("in a process that has done one", together)):
        wall, cpu = (statistics.median(column) for column in zip(*runs[1:], strict=True))
        print(
            f"a run {kind}: {wall:.2f} s beside fit, predict and metrics, {cpu:.2f} s of CPU in all "
            f"(medians of {RUNS}; target under 2)"
        )


def kernel(seconds: dict[str, float]) -> float:
    """What is no overhead among the seconds of a run."""
    return sum(seconds[part] for part in KERNEL)


PARTS = {"training": measure_training, "overhead": measure_overhead}

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as home:
            os.environ["BENCHMARK_HOME"] = home
            PARTS[part]()
