"""What few control cells do to a correlation, shared by both sides or each with its own.

    python perf/controls.py norman19_singles singles

The train mean says the same for every perturbation. Its Pearson correlation is taken with so many control
cells on a side, drawn `DRAWS` times: where both sides share them, their noise counts as agreement.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmark import api
from benchmark.evaluation.controls import about_controls, count_controls
from benchmark.evaluation.metrics.agreement import correlation
from benchmark.perturbation import CONTROL

DRAWS = 20
NUMBERS = (3, 10, 30, 100, 300, 1000, 3000)


def main(name: str, scheme: str) -> None:
    """Print a line for each number of control cells."""
    dataset = api.load_dataset(name)
    split = api.load_split(dataset, scheme, 0)
    labels = dataset.adata.obs["perturbation"].to_numpy()
    means = {label: dataset.adata.X[labels == label].mean(axis=0).A1 for label in set(labels) - {CONTROL}}
    guess = np.mean([means[label] for label in (*split.train, *split.validation)], axis=0)
    control = dataset.adata.X[labels == CONTROL].toarray()
    rng = np.random.default_rng(0)
    print(f"{name}, {scheme}-0: {about_controls(count_controls(dataset, split))}")
    print("control cells on a side   Pearson, shared   Pearson, each its own")
    for n in [number for number in NUMBERS if 2 * number <= len(control)]:
        found = []
        for _ in range(DRAWS):
            rows = rng.permutation(len(control))[: 2 * n]
            one, other = control[rows[:n]].mean(axis=0), control[rows[n:]].mean(axis=0)
            for of_guess in (one, other):
                found.append([correlation(means[p] - one, guess - of_guess) for p in split.test])
        shared, apart = np.nanmean(np.reshape(found, (DRAWS, 2, -1)), axis=(0, 2))
        print(f"{n:>23}   {shared:15.3f}   {apart:21.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
