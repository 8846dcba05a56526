"""How long commands take to start: processor seconds beside those of importing MLflow and AnnData.

python perf/startup.py [ROUNDS] [CHECKOUT]     5 rounds of this checkout unless said

Seconds are user time of a process that computes in one thread, medians over rounds in which the commands
take turns, so that other work on the machine disturbs all alike; ratios depend on the machine least. The data
set is prepared, the anchors are recorded and byte code is cached before the first round.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNIT = ("-c", "import mlflow, anndata")
RUN = ("run", "--method", "additive")
TARGETS = {"leaderboard": 0.6, "a finished run again": 0.6, "a new run": 1.6}
"""1.5, 1.5 and 4 seconds where the imports take 2.5."""


def user_seconds(home: str, checkout: Path, *arguments: str) -> float:
    """User time of one Python process and all that it starts and waits for."""
    before = os.times().children_user
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        cwd=checkout,
        env={**os.environ, "BENCHMARK_HOME": home, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
    )
    return os.times().children_user - before


def commands(number: int) -> dict[str, tuple[str, ...]]:
    """What is measured in a round; the new run is another one each time."""
    asked = {
        "--help": ("--help",),
        "methods": ("methods",),
        "leaderboard": ("leaderboard",),
        "a finished run again": RUN,
        "a new run": (*RUN, "--no-anchors", "--cells", str(20 + number)),
    }
    return {"unit": UNIT} | {name: ("-m", "benchmark", *arguments) for name, arguments in asked.items()}


def measure(rounds: int, checkout: Path) -> None:
    """Print the median of each command, and how many times the unit it is."""
    found: dict[str, list[float]] = {name: [] for name in commands(0)}
    with tempfile.TemporaryDirectory() as home:
        user_seconds(home, checkout, "-m", "benchmark", *RUN)
        for number in range(rounds + 1):
            for name, arguments in commands(number).items():
                found[name].append(user_seconds(home, checkout, *arguments))
    seconds = {name: statistics.median(taken[1:]) for name, taken in found.items()}
    unit = seconds.pop("unit")
    print(f"importing mlflow and anndata: {unit:.2f} s (medians of {rounds} rounds)")
    for name, taken in seconds.items():
        target = f" (target under {TARGETS[name]})" if name in TARGETS else ""
        print(f"{name}: {taken:.2f} s, ratio {taken / unit:.2f}{target}")


if __name__ == "__main__":
    measure(int(sys.argv[1]) if sys.argv[1:] else 5, Path(sys.argv[2]) if sys.argv[2:] else ROOT)
