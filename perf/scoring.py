"""How fast predictions are scored, how that grows, and whether they need to fit into memory.

python perf/scoring.py             every metric beside cell-eval2's full profile, on one AnnData pair, twice
python perf/scoring.py --growth    seconds at 1, 4 and 16 times the perturbations, and the cells
python perf/scoring.py --disk      both sides read from disk, in a process that could not hold the panel

Each measurement has a process of its own, so that threads and memory do not mix, and scores a tiny pair
first, timed by itself, so that imports and compilers do not count. Sizes can be chosen; 1x of --growth is a
quarter of what is grown.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from measuring import in_new_process, limit_data, peak_mb
from scipy import sparse

CONTROL = "control"
TARGET_TIMES = 8
GROWTH = (1, 4, 16)
TINY = {"perturbations": 3, "genes": 200, "controls": 40, "real": 30, "predicted": 20}


def make_pair(
    folder: Path, perturbations: int, genes: int, controls: int, real: int, predicted: int, seed: int = 0
) -> None:
    """Write ``real.h5ad`` (sparse) and ``predicted.h5ad`` (dense), both with the same controls.

    Counts are negative binomial around log-normal gene means, about 10,000 a cell; each perturbation moves
    5 % of the genes by up to fourfold, and the prediction is real control cells with half of that move.
    Perturbations are all pairs of as many genes as it takes.
    """
    folder.mkdir()
    rng = np.random.default_rng(seed)
    share = rng.lognormal(0, 1.5, genes)
    share /= share.sum()

    def cells(n: int, fold: np.ndarray) -> np.ndarray:
        depth = rng.lognormal(np.log(1e4), 0.3, (n, 1))
        counts = rng.poisson(rng.gamma(2, depth * share * fold / 2)).astype(np.float32)
        return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)

    base = cells(controls, np.ones(genes))
    sides: dict[str, list[np.ndarray]] = {"real": [base], "predicted": [base]}
    for _ in range(perturbations):
        log_fold = np.where(rng.random(genes) < 0.05, rng.uniform(-1.4, 1.4, genes), 0)
        sides["real"].append(cells(real, np.exp(log_fold)))
        start = base[rng.integers(0, controls, predicted)]
        moved = np.log1p(np.expm1(start) * np.exp(log_fold / 2))
        sides["predicted"].append(moved.astype(np.float32))
    names = [f"G{number:04d}" for number in range(genes)]
    pairs = ((a, b) for j, b in enumerate(names) for a in names[:j])
    labels = [CONTROL, *("+".join(pair) for pair in islice(pairs, perturbations))]
    for side, blocks in sides.items():
        obs = pd.DataFrame({"perturbation": np.repeat(labels, [len(block) for block in blocks])})
        obs.index = obs.index.astype(str)
        stacked = np.concatenate(blocks)
        matrix = sparse.csr_matrix(stacked) if side == "real" else stacked
        var = pd.DataFrame(index=names)
        anndata.AnnData(matrix, obs=obs, var=var).write_h5ad(folder / f"{side}.h5ad")


def score_cells(
    control: Any,
    real: Mapping[str, Any],
    predicted: Mapping[str, Any],
    genes: list[str],
    truth: Path | None = None,
) -> None:
    """Score with this package; what its genes do alone, doubles are compared with, is other real cells."""
    from benchmark.data.blocks import LazyCells
    from benchmark.evaluation.metrics import Reference
    from benchmark.evaluation.metrics.evaluate import evaluate

    alone = sorted({gene for label in real for gene in label.split("+")})
    stand_in = dict(zip(alone, cycle(real), strict=False))
    singles = LazyCells(alone, lambda gene: real[stand_in[gene]])
    evaluate(Reference.of(control, genes, train=real, singles=singles), real, predicted, truth=truth)


def score_in_memory(folder: Path) -> Callable[[], None]:
    """Load a pair; the answer scores it with this package, as runs do: what is real is kept for the next."""
    from benchmark.data.blocks import LazyCells

    def by_label(side: anndata.AnnData) -> LazyCells:
        rows = side.obs.groupby("perturbation", observed=True).indices
        return LazyCells([label for label in rows if label != CONTROL], lambda label: side.X[rows[label]])

    real, predicted = (anndata.read_h5ad(folder / f"{side}.h5ad") for side in ("real", "predicted"))
    control = real.X[(real.obs["perturbation"] == CONTROL).to_numpy()]
    sides, genes = (by_label(real), by_label(predicted)), list(real.var_names)
    return lambda: score_cells(control, *sides, genes, folder / "truth")


def score_from_disk(folder: Path) -> Callable[[], None]:
    """Load nothing but the control cells; the answer scores the pair with this package."""
    from benchmark.data.blocks import rows_by_label
    from benchmark.evaluation.stored import StoredCells
    from benchmark.records.archive import read_archive

    stored = StoredCells.open(folder / "real.h5ad")
    genes = list(stored.genes)
    control = stored.rows(rows_by_label(stored.labels("perturbation"))[CONTROL])
    real, predicted = (read_archive(folder / f"{side}.h5ad", genes) for side in ("real", "predicted"))
    return lambda: score_cells(control, real, predicted, genes)


def score_with_cell_eval2(folder: Path) -> Callable[[], None]:
    """Load a pair; the answer scores it with cell-eval2, every metric of its ``full`` profile."""
    from cell_eval2 import EvalConfig, compute_metrics
    from cell_eval2.config import DEParams

    logging.disable(logging.WARNING)
    real, predicted = (anndata.read_h5ad(folder / f"{side}.h5ad") for side in ("real", "predicted"))
    config = EvalConfig(
        metrics="full",
        pert_col="perturbation",
        control=CONTROL,
        input_type="lognorm",
        de=DEParams(backend="pdex"),
        target_gene_map={"*": None},  # it knows no doubles
        num_threads=threads(),
        device="cpu",
    )
    return lambda: compute_metrics(predicted, real, config=config)


def threads() -> int:
    """Count the threads that all scorers use."""
    return min(2, len(os.sched_getaffinity(0)))


def measure(
    scorer: Callable[[Path], Callable[[], None]], tiny: Path, pair: Path, room: float | None = None
) -> dict[str, float]:
    """Time one scorer in this process: the tiny pair first, then the pair, then the pair again.

    `room` is how many MB of data the process may get beside what it has after the tiny pair.
    """
    start = time.perf_counter()
    scorer(tiny)()
    warm_up = time.perf_counter() - start
    if room is not None:
        limit_data(room)
    score = scorer(pair)
    loaded = peak_mb()
    start, busy = time.perf_counter(), time.process_time()
    score()
    seconds, busy, peak = time.perf_counter() - start, time.process_time() - busy, peak_mb()
    start = time.process_time()
    score()
    return {
        "warm_up": warm_up,
        "seconds": seconds,
        "busy": busy,
        "again": time.process_time() - start,
        "loaded": loaded,
        "peak": peak,
    }


def compare(root: Path, tiny: Path, sizes: dict[str, int]) -> None:
    """Print both scorers side by side."""
    in_new_process(make_pair, root / "pair", **sizes)
    found = {
        name: in_new_process(measure, scorer, tiny, root / "pair")
        for name, scorer in (("benchmark", score_in_memory), ("cell-eval2", score_with_cell_eval2))
    }
    for name, row in found.items():
        print(
            f"{name:10s}{row['seconds']:8.2f} s, {row['busy']:.2f} s of processors, {row['again']:.2f} s the "
            f"second time; peak memory {row['peak']:5.0f} MB ({row['loaded']:.0f} MB with the pair loaded), "
            f"warm-up {row['warm_up']:.2f} s"
        )
    ours, theirs = found["benchmark"], found["cell-eval2"]
    seconds, busy, again = (theirs[what] / ours[what] for what in ("seconds", "busy", "again"))
    print(
        f"benchmark is {seconds:.1f} times as fast, by processors {busy:.1f} times, and {again:.1f} times "
        f"where the real cells were scored before (target: {TARGET_TIMES}), at "
        f"{ours['peak'] / theirs['peak']:.0%} of the memory (target: at most 50%)"
    )


def grow(root: Path, tiny: Path, sizes: dict[str, int]) -> None:
    """Print seconds at several times the perturbations, and several times the cells of each."""
    for what, grown in (("perturbations", ["perturbations"]), ("cells", ["real", "predicted"])):
        seconds = {}
        for times in GROWTH:
            pair = root / f"{what}-{times}"
            more = {name: max(2, sizes[name] * times // 4) for name in grown}
            in_new_process(make_pair, pair, **{**sizes, **more})
            seconds[times] = in_new_process(measure, score_in_memory, tiny, pair)["seconds"]
        row = ", ".join(f"{times}x {value:.2f} s" for times, value in seconds.items())
        ratios = ", ".join(f"{seconds[times] / seconds[1]:.1f} at {times}x" for times in GROWTH[1:])
        print(f"{what}: {row}; times the seconds of 1x: {ratios}")


def from_disk(root: Path, tiny: Path, sizes: dict[str, int]) -> None:
    """Print what it takes to score a panel from disk with half of its size to work in."""
    in_new_process(make_pair, root / "pair", **sizes)
    cells = 2 * sizes["controls"] + sizes["perturbations"] * (sizes["real"] + sizes["predicted"])
    panel = cells * sizes["genes"] * 4 / 2**20
    row = in_new_process(measure, score_from_disk, tiny, root / "pair", room=panel / 2)
    print(
        f"panel {panel:.0f} MB in memory; scored from disk in {row['seconds']:.2f} s, in {panel / 2:.0f} MB "
        f"beside the program; peak memory {row['peak']:.0f} MB, of which the program {row['loaded']:.0f} MB"
    )


def main() -> None:
    """Read sizes and mode, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--growth", dest="mode", action="store_const", const=grow, default=compare)
    mode.add_argument("--disk", dest="mode", action="store_const", const=from_disk)
    parser.add_argument("--perturbations", type=int, default=40)
    parser.add_argument("--genes", type=int, default=5000)
    parser.add_argument("--controls", type=int, default=500)
    parser.add_argument("--real", type=int, default=300, help="real cells per perturbation")
    parser.add_argument("--predicted", type=int, default=128, help="predicted cells per perturbation")
    sizes = vars(parser.parse_args())
    work = sizes.pop("mode")
    os.environ.update(NUMBA_NUM_THREADS=str(threads()), TQDM_DISABLE="1")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # new processes inherit it
    print(", ".join(f"{value} {name}" for name, value in sizes.items()) + f", {threads()} threads")
    with tempfile.TemporaryDirectory() as root:
        tiny = Path(root, "tiny")
        in_new_process(make_pair, tiny, **TINY)
        work(Path(root), tiny, sizes)


if __name__ == "__main__":
    main()
