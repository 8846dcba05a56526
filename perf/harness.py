"""What the harness itself costs: help, the leaderboard over 1,000 runs, and the main job.

python perf/harness.py [help] [leaderboard] [main]     all three unless named
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

RUNS = 1000
PERTURBATIONS = 37
METHODS = 20


def timed(*arguments: str, home: str) -> tuple[float, float]:
    """Run a command of the harness; seconds, and the peak memory of all children so far in MB."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "benchmark", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "BENCHMARK_HOME": home},
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return time.perf_counter() - start, peak


def measure_help() -> None:
    with tempfile.TemporaryDirectory() as home:
        seconds = sorted(timed("--help", home=home)[0] for _ in range(5))
    print(f"--help: {seconds[2]:.2f} s (median of 5; target under 1)")


def fill_store(home: str) -> None:
    """Record 1,000 runs with random scores, in the form that real runs have."""
    os.environ["BENCHMARK_HOME"] = home
    from benchmark.evaluation.metrics import METRICS
    from benchmark.records.record import Coordinates, Record, Summary
    from benchmark.records.tracking import Tracker

    tracker = Tracker()
    rng = np.random.default_rng(0)
    labels = [f"G{index}+H{index}" for index in range(PERTURBATIONS)]
    for number in range(RUNS):
        coordinates = Coordinates(
            method=f"method{number % METHODS}",
            method_version="1",
            configuration="default",
            config={"width": 64},
            source_digest="0" * 64,
            dataset=f"dataset{number // METHODS % 10}",
            dataset_digest="0" * 64,
            split="doubles",
            split_digest="0" * 64,
            seed=number // (METHODS * 10),
            cells=256,
        )
        with tracker.recording(coordinates) as recording:
            scores = {name: rng.random(PERTURBATIONS).tolist() for name in METRICS}
            record = Record(
                coordinates=coordinates,
                status="finished",
                run_id=recording.run_id,
                started="2026-01-01T00:00:00+00:00",
                device="cpu",
                versions={},
                seconds={"total": 1.0},
                peak_memory_mb=1.0,
                coverage=1.0,
                fallbacks={},
                metrics={name: Summary(mean=0.5, n=PERTURBATIONS, missing=0) for name in METRICS},
                metric_versions=dict.fromkeys(METRICS, "1"),
                perturbations=labels,
                groups=["combo_seen2"] * PERTURBATIONS,
                scores=scores,
                archive="predictions.h5ad",
                archive_sha256="0" * 64,
                archive_mb=1.0,
            )
            recording.finish(record, [])


def measure_leaderboard() -> None:
    with tempfile.TemporaryDirectory() as home:
        fill_store(home)
        seconds = sorted(timed("leaderboard", home=home)[0] for _ in range(3))
    print(f"leaderboard over {RUNS} runs: {seconds[1]:.2f} s (median of 3; target under 5)")


def measure_main_job() -> None:
    with tempfile.TemporaryDirectory() as home:
        seconds, peak = timed("run", "--method", "grnflow_sparse_pca", home=home)
    print(f"main job, nothing cached: {seconds:.0f} s (target under 240), {peak:.0f} MB (target under 4096)")


PARTS = {"help": measure_help, "leaderboard": measure_leaderboard, "main": measure_main_job}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
