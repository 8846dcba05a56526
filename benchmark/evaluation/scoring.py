"""Scores of predictions for a split of a data set, and the two bounds that give a score its scale.

The lower bound is what the method `train_mean` scores, the upper one, the replicate ceiling, what one half of
the real cells of a perturbation scores as a prediction of the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from benchmark.data import Dataset
from benchmark.data.blocks import LazyCells
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import Reference
from benchmark.evaluation.metrics.evaluate import evaluate
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.splits import Split
from benchmark.splits.views import cells_by_label, held_out_cells

HALVINGS = 5
"""How often the real cells are halved for the ceiling; the scores are averaged."""

FEWEST = 4
"""Cells of a perturbation that can be halved: a score needs two on each side."""


def reference_of(dataset: Dataset, split: Split) -> Reference:
    """Summarise the real cells that responses on a split are measured against.

    The singles are those of the whole data set: what a gene does alone is needed to judge a predicted
    interaction, also where it was not shown to the method.
    """
    known = set(dataset.adata.obs["perturbation"])
    genes = sorted({gene for label in split.test for gene in _genes_of_double(label)} & known)
    return Reference.of(
        cells_by_label(dataset, [CONTROL])[CONTROL],
        list(dataset.adata.var_names),
        train=cells_by_label(dataset, split.train),
        singles=cells_by_label(dataset, genes),
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
    sizes = dataset.adata.obs["perturbation"].value_counts()
    enough = [label for label in held_out if sizes[label] >= FEWEST]
    if not enough:
        raise BenchmarkError(
            f"No test perturbation of '{dataset.name}', split {split.scheme}-{split.seed}, has {FEWEST} "
            "cells, so that none can be halved for a ceiling; use data with more cells."
        )
    tables = []
    for seed in range(HALVINGS):
        truth, guess = (
            LazyCells(enough, partial(_half, held_out, seed=seed, which=which)) for which in range(2)
        )
        tables.append(evaluate(reference, truth, guess))
    return (
        pd.concat(tables)
        .groupby(level=0, sort=False)
        .mean()
        .reindex(list(held_out))
        .rename_axis("perturbation")
    )


def _half(cells_of: Mapping[str, Matrix], label: str, seed: int, which: int) -> Matrix:
    cells = cells_of[label]
    order = np.random.default_rng(seed).permutation(cells.shape[0])
    middle = len(order) // 2
    return cells[np.sort((order[:middle], order[middle:])[which])]


def _genes_of_double(label: str) -> tuple[str, ...]:
    perturbation = Perturbation.parse(label)
    return perturbation.genes if perturbation.is_double else ()
