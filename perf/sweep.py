"""How much faster two processes of a sweep are than one by one, and whether Ray gives the same numbers.

python perf/sweep.py [RUNS]            RUNS baseline runs (200 unless said): sweep --jobs 1 beside --jobs 2
python perf/sweep.py --same A B        the finished runs of two homes, score by score
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASELINES = ("no_change", "train_mean", "additive", "linear", "main_effects")
SPLITS = ("doubles", "simulation")
TARGET = 1.7


def environment(home: str) -> dict[str, str]:
    """The environment of a command that works in another home."""
    return {**os.environ, "BENCHMARK_HOME": home, "PYTHONPATH": str(ROOT)}


def seconds(runs: int, jobs: int) -> float:
    """Time a sweep of so many runs in a home of its own, the frozen splits and the data set made before."""
    seeds = -(-runs // (len(BASELINES) * len(SPLITS)))
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "benchmark", "sweep", "--no-anchors", "--methods"]
        first = [
            *command,
            "no_change",
            "--seeds",
            f"0-{seeds - 1}",
            "--cells",
            "2",
            "--splits",
            ",".join(SPLITS),
        ]
        subprocess.run(first, env=environment(home), check=True, capture_output=True)
        asked = [*command, ",".join(BASELINES), "--seeds", f"0-{seeds - 1}", "--splits", ",".join(SPLITS)]
        start = time.perf_counter()
        done = subprocess.run(
            [*asked, "--jobs", str(jobs)], env=environment(home), check=True, capture_output=True, text=True
        )
        took = time.perf_counter() - start
    print(f"--jobs {jobs}: {took:.1f} s; {done.stdout.splitlines()[-1]}", flush=True)
    return took


def scores(home: str) -> dict[str, dict[str, dict[str, float]]]:
    """What the newest finished run of each key scored."""
    program = (
        "import json; from benchmark.records.tracking import Tracker; "
        "print(json.dumps({run.tags['key']: run.scores for run in reversed(Tracker().runs()) "
        "if run.status == 'finished'}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment(home), check=True, capture_output=True, text=True
    )
    content: dict[str, dict[str, dict[str, float]]] = json.loads(found.stdout)
    return content


def compare(one: str, other: str) -> None:
    """Print how many runs two homes share, and how many of those scored the same to the last digit kept."""
    first, second = scores(one), scores(other)
    shared = first.keys() & second.keys()
    same = [key for key in shared if json.dumps(first[key]) == json.dumps(second[key])]
    print(f"{len(first)} and {len(second)} runs, {len(shared)} in both, {len(same)} with the same scores")
    for key in sorted(shared - set(same)):
        differ = [
            name for name in first[key] if json.dumps(first[key][name]) != json.dumps(second[key].get(name))
        ]
        print(f"  {key[:12]} differs in {', '.join(differ)}")


def main() -> None:
    """Read what is asked for, and measure."""
    if sys.argv[1:2] == ["--same"]:
        compare(*sys.argv[2:4])
        return
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    one, two = seconds(runs, 1), seconds(runs, 2)
    print(f"two processes are {one / two:.2f} times as fast (target: {TARGET})")


if __name__ == "__main__":
    main()
