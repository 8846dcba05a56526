"""How fast predictions are scored: `benchmark.metrics` beside cell-eval's full profile, on one AnnData pair.

Run ``python perf/scoring.py``: it writes the pair to a temporary folder, scores it with each scorer in a
process of its own (threads and memory then do not mix), and prints seconds and peak memory. Both first score
a tiny pair, timed by itself, so that imports and compilers do not count.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

CONTROL = "control"


def make_pair(
    folder: Path, perturbations: int, genes: int, controls: int, real: int, predicted: int, seed: int = 0
) -> None:
    """Write ``real.h5ad`` (sparse) and ``predicted.h5ad`` (dense), both with the same controls.

    Counts are negative binomial around log-normal gene means, about 10,000 a cell; each perturbation moves
    5 % of the genes by up to fourfold, and the prediction is real control cells with half of that move.
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
    labels = [CONTROL, *(f"P{number:02d}" for number in range(perturbations))]
    for side, blocks in sides.items():
        obs = pd.DataFrame({"perturbation": np.repeat(labels, [len(block) for block in blocks])})
        obs.index = obs.index.astype(str)
        stacked = np.concatenate(blocks)
        matrix = sparse.csr_matrix(stacked) if side == "real" else stacked
        anndata.AnnData(matrix, obs=obs).write_h5ad(folder / f"{side}.h5ad")


def score_here(real: anndata.AnnData, predicted: anndata.AnnData) -> None:
    """Score with this package."""
    from benchmark.metrics import Reference
    from benchmark.metrics.evaluate import evaluate

    def by_label(adata: anndata.AnnData) -> dict[str, np.ndarray]:
        return {
            str(label): adata.X[rows]
            for label, rows in adata.obs.groupby("perturbation", observed=True).indices.items()
        }

    real_cells, predicted_cells = by_label(real), by_label(predicted)
    control = real_cells.pop(CONTROL)
    predicted_cells.pop(CONTROL)
    reference = Reference.of(control, list(real.var_names), train=real_cells)
    evaluate(reference, real_cells, predicted_cells)


def score_cell_eval(real: anndata.AnnData, predicted: anndata.AnnData) -> None:
    """Score with cell-eval, every metric of its ``full`` profile."""
    from cell_eval import MetricsEvaluator

    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        evaluator = MetricsEvaluator(
            adata_pred=predicted,
            adata_real=real,
            control_pert=CONTROL,
            pert_col="perturbation",
            num_threads=threads(),
            outdir=str(Path(folder, "out")),
        )
        evaluator.compute(profile="full", write_csv=False)


SCORERS: dict[str, Callable[[anndata.AnnData, anndata.AnnData], None]] = {
    "benchmark": score_here,
    "cell-eval": score_cell_eval,
}


def threads() -> int:
    """Count the threads that both scorers use."""
    return min(2, len(os.sched_getaffinity(0)))


def measure(scorer: str, tiny: Path, pair: Path) -> dict[str, float]:
    """Time one scorer in this process: the tiny pair first, then the pair."""
    seconds = []
    for folder in (tiny, pair):
        real = anndata.read_h5ad(folder / "real.h5ad")
        predicted = anndata.read_h5ad(folder / "predicted.h5ad")
        loaded = peak_memory()
        start = time.perf_counter()
        SCORERS[scorer](real, predicted)
        seconds.append(time.perf_counter() - start)
    return {"warm_up": seconds[0], "seconds": seconds[1], "loaded": loaded, "peak": peak_memory()}


def peak_memory() -> float:
    """Peak resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Make the pair, measure both scorers, print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--perturbations", type=int, default=30)
    parser.add_argument("--genes", type=int, default=5000)
    parser.add_argument("--controls", type=int, default=500)
    parser.add_argument("--real", type=int, default=300, help="real cells per perturbation")
    parser.add_argument("--predicted", type=int, default=128, help="predicted cells per perturbation")
    sizes = vars(parser.parse_args())
    os.environ.update(NUMBA_NUM_THREADS=str(threads()), TQDM_DISABLE="1")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # new processes inherit it
    print(", ".join(f"{value} {name}" for name, value in sizes.items()) + f", {threads()} threads")
    found = {}
    with tempfile.TemporaryDirectory() as root:
        tiny, pair = Path(root, "tiny"), Path(root, "pair")
        in_new_process(make_pair, tiny, perturbations=3, genes=200, controls=40, real=30, predicted=20)
        in_new_process(make_pair, pair, **sizes)
        for scorer in SCORERS:
            found[scorer] = in_new_process(measure, scorer, tiny, pair)
    for scorer, row in found.items():
        print(
            f"{scorer:10s}{row['seconds']:8.2f} s, peak memory {row['peak']:5.0f} MB "
            f"({row['loaded']:.0f} MB with the pair loaded), warm-up {row['warm_up']:.2f} s"
        )
    print(f"benchmark is {found['cell-eval']['seconds'] / found['benchmark']['seconds']:.1f} times as fast")


def in_new_process(work: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call `work` in a fresh process, so that its threads, compiled code and peak memory are its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **options).result()


if __name__ == "__main__":
    main()
