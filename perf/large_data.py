"""Whether a data set ten times the memory that a process may get trains a flow, and how fast.

python perf/large_data.py                  prepare, train scdfm from disk under a limit, then from memory
python perf/large_data.py --cells 200000   with another number of cells

The limit is set on the process (RLIMIT_DATA): what it has after a tiny training, and a tenth of what X takes.
Mapped pages do not count, since the system takes them back when it needs them. The same steps are then
trained in a process without a limit that reads all cells into memory; both losses must be equal.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from measuring import in_new_process, limit_data

OPTIONS = {"perturbation_column": "perturbation", "control_label": "control"}
SINGLES = [f"G{number:04d}" for number in range(30)]
LABELS = ["control", *SINGLES, *(f"{a}+{b}" for a, b in zip(SINGLES[::2], SINGLES[1::2], strict=True))]
STORED = 0.25
"""Share of the values that are not zero."""


def write_cells(path: Path, cells: int, genes: int, block: int = 2000) -> float:
    """Write random log1p values block by block; returns the MB that X takes in memory."""
    rng, width = np.random.default_rng(0), int(genes * STORED)
    names = pd.Index([f"c{row}" for row in range(cells)])
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "obs", pd.DataFrame({"perturbation": np.resize(LABELS, cells)}, index=names))
        write_elem(file, "var", pd.DataFrame(index=[f"G{number:04d}" for number in range(genes)]))
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": (cells, genes)})
        x["indptr"] = np.arange(0, cells * width + 1, width)
        data, indices = (
            x.create_dataset(name, (cells * width,), kind, chunks=(2**18,))
            for name, kind in (("data", np.float32), ("indices", np.int32))
        )
        for start in range(0, cells, block):
            rows = min(block, cells - start)
            part = slice(start * width, (start + rows) * width)
            data[part] = rng.random(rows * width, dtype=np.float32) + np.float32(0.1)
            picked = np.sort(
                rng.permuted(np.tile(np.arange(genes, dtype=np.int32), (50, 1)), axis=1)[:, :width]
            )
            indices[part] = picked[rng.integers(50, size=rows)].ravel()
    return cells * width * 8 / 2**20


def train(where: str, tiny: Path, large: Path, steps: int, room: float | None) -> dict[str, Any]:
    """Train on the tiny file, then on the large one; `room` is how many MB more it may get for that."""
    os.environ["BENCHMARK_CELLS"] = where
    fit(tiny, 2)
    if room is not None:
        limit_data(room)
    return fit(large, steps)


def fit(path: Path, steps: int) -> dict[str, Any]:
    """Load, divide, look for leaks, train; returns seconds, losses and the share of time spent waiting."""
    from benchmark.data import load_dataset
    from benchmark.evaluation.leaks import check_views
    from benchmark.machine.progress import report_to
    from benchmark.splits import make_split
    from benchmark.splits.views import training_views
    from methods.scdfm import ScDFM

    start = time.perf_counter()
    dataset = load_dataset(str(path), **OPTIONS)
    split = make_split(dataset, "doubles", 0)
    views = training_views(dataset, split)
    check_views(dataset, split, *views)
    ready = time.perf_counter()
    config = ScDFM.Config.build("small", {"steps": steps, "graph_neighbours": 0, "checks": 0})
    clock = StepClock()
    with report_to(clock):
        ScDFM(config, seed=0, device="cpu").fit(*views)
    return {
        "ready": ready - start,
        "steps_per_second": (len(clock.times) - 1) / (clock.times[-1] - clock.times[0]),
        "losses": clock.losses,
        "waiting": clock.waiting,
    }


class StepClock:
    """A reporter that notes when each step ended."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.losses: list[float] = []
        self.waiting = 0.0

    def stage(self, name: str, total: int) -> StepClock:
        """Open a stage."""
        return self

    def __enter__(self) -> StepClock:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def advance(self, steps: int = 1, **values: float) -> None:
        """Note the end of a step."""
        self.times.append(time.perf_counter())
        self.losses.append(values["loss"])
        self.waiting = values["waiting"]


def main() -> None:
    """Measure both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--genes", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="where files are written; must be a disk")
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # new processes inherit it
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        os.environ["BENCHMARK_HOME"] = folder
        tiny, large = Path(folder, "tiny.h5ad"), Path(folder, "large.h5ad")
        in_new_process(write_cells, tiny, 2000, given.genes)
        size = in_new_process(write_cells, large, given.cells, given.genes)
        print(f"{given.cells:,} cells x {given.genes:,} genes, X takes {size:.0f} MB", flush=True)
        disk = in_new_process(train, "disk", tiny, large, given.steps, size / 10)
        report("disk", f"limited to {size / 10:.0f} MB beside the program", disk)
        memory = in_new_process(train, "memory", tiny, large, given.steps, None)
        report("memory", "no limit, prepared already", memory)
        ratio = disk["steps_per_second"] / memory["steps_per_second"]
        same = "equal" if disk["losses"] == memory["losses"] else "NOT equal"
        print(f"from disk {ratio:.2f} times the steps per second of memory; losses {same}")


def report(where: str, how: str, found: dict[str, Any]) -> None:
    """Print one way."""
    print(
        f"{where:7s}({how}): ready after {found['ready']:.1f} s, {found['steps_per_second']:.2f} steps/s, "
        f"{found['waiting']:.1%} of the time waiting for cells",
        flush=True,
    )


if __name__ == "__main__":
    main()
