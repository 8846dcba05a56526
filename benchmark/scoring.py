"""Scores of predictions for a split of a data set, and the two bounds that give a score its scale.

The lower bound is what the method `train_mean` scores, the upper one, the replicate ceiling, what one half of
the real cells of a perturbation scores as a prediction of the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from benchmark.data import Dataset
from benchmark.errors import BenchmarkError
from benchmark.metrics import Reference
from benchmark.metrics.evaluate import evaluate
from benchmark.metrics.sorted_cells import Matrix
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.splits import Split
from benchmark.views import held_out_cells

HALVINGS = 5
"""How often the real cells are halved for the ceiling; the scores are averaged."""

FEWEST = 4
"""Cells of a perturbation that can be halved: a score needs two on each side."""


def reference_of(dataset: Dataset, split: Split) -> Reference:
    """Summarise the real cells that responses on a split are measured against.

    The singles are those of the whole data set: what a gene does alone is needed to judge a predicted
    interaction, also where it was not shown to the method.
    """
    labels = dataset.adata.obs["perturbation"].to_numpy()
    genes = sorted({gene for label in split.test for gene in _genes_of_double(label)} & set(labels))
    return Reference.of(
        _cells(dataset, labels, CONTROL),
        list(dataset.adata.var_names),
        train={label: _cells(dataset, labels, label) for label in split.train},
        singles={gene: _cells(dataset, labels, gene) for gene in genes},
    )


def score(
    dataset: Dataset,
    split: Split,
    predicted: Mapping[str, Matrix],
    predicts: Literal["cells", "mean"] = "cells",
    reference: Reference | None = None,
) -> pd.DataFrame:
    """Score predicted cells of the test perturbations of a split; see `evaluate`.

    `reference` is that of the split, `reference_of`, where it is at hand already.
    """
    reference = reference or reference_of(dataset, split)
    return evaluate(reference, held_out_cells(dataset, split), predicted, predicts)


def ceiling(dataset: Dataset, split: Split, reference: Reference | None = None) -> pd.DataFrame:
    """Score one half of the real cells of each test perturbation as a prediction of the other half.

    The mean over `HALVINGS` seeded divisions; a metric that is undefined in some is averaged over the rest.
    Halves hold fewer cells than what a method predicts and is compared with, so a method may well lie above.
    A perturbation with fewer than `FEWEST` cells has no ceiling. `reference` as in `score`.

    Returns
    -------
    pandas.DataFrame
        As `evaluate` returns it; NaN for perturbations without a ceiling.

    Raises
    ------
    BenchmarkError
        When no perturbation has enough cells.
    """
    reference, held_out = reference or reference_of(dataset, split), held_out_cells(dataset, split)
    real = {label: cells for label, cells in held_out.items() if cells.shape[0] >= FEWEST}
    if not real:
        raise BenchmarkError(
            f"No test perturbation of '{dataset.name}', split {split.scheme}-{split.seed}, has {FEWEST} "
            "cells, so that none can be halved for a ceiling; use data with more cells."
        )
    tables = []
    for seed in range(HALVINGS):
        halves = {label: _halves(cells, seed) for label, cells in real.items()}
        truth = {label: half for label, (half, _) in halves.items()}
        guess = {label: half for label, (_, half) in halves.items()}
        tables.append(evaluate(reference, truth, guess))
    return (
        pd.concat(tables)
        .groupby(level=0, sort=False)
        .mean()
        .reindex(list(held_out))
        .rename_axis("perturbation")
    )


def _halves(cells: csr_matrix, seed: int) -> tuple[csr_matrix, csr_matrix]:
    order = np.random.default_rng(seed).permutation(cells.shape[0])
    middle = len(order) // 2
    return cells[np.sort(order[:middle])], cells[np.sort(order[middle:])]


def _genes_of_double(label: str) -> tuple[str, ...]:
    perturbation = Perturbation.parse(label)
    return perturbation.genes if perturbation.is_double else ()


def _cells(dataset: Dataset, labels: np.ndarray, label: str) -> csr_matrix:
    return dataset.adata.X[labels == label]
