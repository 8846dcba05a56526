"""Scores of predictions for a split of a data set, and the bounds that give a score its scale.

The lower bound is what the method `train_mean` scores. The upper one is, for metrics that read means, the
limit, what a model that knew the true means would score; for metrics that read cells the replicate ceiling,
what one half of the real cells of a perturbation scores as a prediction of the other half.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from benchmark.contexts import labels_of
from benchmark.counted import PredictedCounts
from benchmark.data import Dataset
from benchmark.data.blocks import LazyCells
from benchmark.errors import BenchmarkError
from benchmark.evaluation.limit import draw_true_changes, error_of_mean
from benchmark.evaluation.metrics import Reference
from benchmark.evaluation.metrics.evaluate import evaluate, evaluate_means
from benchmark.evaluation.metrics.kept import bounded
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.machine.paths import cache_folder
from benchmark.perturbation import Perturbation
from benchmark.splits import Split
from benchmark.splits.views import cells_by_label, held_out_cells, matched_controls, scored_controls

if TYPE_CHECKING:
    from benchmark.evaluation.metrics.counts import Counts

HALVINGS = 5
"""How often the real cells are halved for the ceiling; the scores are averaged."""

DRAWS = 5
"""How often the true means are drawn for the limit; the scores are averaged."""

FEWEST = 4
"""Cells of a perturbation that can be halved: a score needs two on each side."""


TRUTH = "truth"
"""The cache of what follows from real cells alone."""


def reference_of(dataset: Dataset, split: Split) -> Reference:
    """Summarise the real cells that responses on a split of one context are measured against.

    The singles are those of the whole data set: what a gene does alone is needed to judge a predicted
    interaction, also where it was not shown to the method.
    """
    (context,) = split.contexts
    split = split.of_context(context)
    known = set(labels_of(dataset.adata.obs))
    genes = sorted({gene for label in split.test for gene in _genes_of_double(label)})
    alone = {gene: label for gene in genes if (label := Perturbation((gene,), context).label) in known}
    singles = cells_by_label(dataset, alone.values())
    shared = split.controls is None
    return Reference.of(
        dataset.adata.X[scored_controls(dataset, split)],
        list(dataset.adata.var_names),
        train=cells_by_label(dataset, split.train),
        singles=LazyCells(alone, lambda gene: singles[alone[gene]]),
        given=None if shared else dataset.adata.X[matched_controls(dataset, split)],
    )


References = Mapping[str, Reference]
"""Context -> what responses in it are measured against."""


def references_of(dataset: Dataset, split: Split) -> References:
    """Return `reference_of` each context that is tested."""
    return {context: reference_of(dataset, split.of_context(context)) for context in split.contexts}


def only(references: References, split: Split) -> Reference:
    """Return the one reference of a split that tests one context.

    Raises
    ------
    BenchmarkError
        When it tests several.
    """
    if len(references) > 1:
        raise BenchmarkError(
            f"The split {split.scheme}-{split.seed} tests {len(references)} contexts, and this is for one; "
            "take a split that tests one, such as contexts."
        )
    return next(iter(references.values()))


def score(
    dataset: Dataset,
    split: Split,
    predicted: Mapping[str, Matrix],
    predicts: Literal["cells", "mean"] = "cells",
    references: References | None = None,
) -> pd.DataFrame:
    """Score predicted cells of the test perturbations of a split; see `evaluate`.

    Each context is scored by itself, against its own control cells. `references` are those of the split,
    `references_of`, where they are at hand already. Where the data hold counts and `predicted` is
    `PredictedCounts`, metrics of counts are taken of these.
    """

    def table(part: Split, reference: Reference) -> pd.DataFrame:
        guess = LazyCells(of_context(predicted, part.contexts), predicted.__getitem__)
        counts = counts_of_both(dataset, part, predicted)
        real = held_out_cells(dataset, part)
        with bounded(cache_folder(TRUTH)) as truth:
            return evaluate(reference, real, guess, predicts, counts, truth)

    return _over_contexts(dataset, split, references, table)


def of_context(labels: Iterable[str], contexts: Collection[str]) -> list[str]:
    """Return those labels of conditions that are in some contexts."""
    return [label for label in labels if Perturbation.parse(label).context in contexts]


def _over_contexts(
    dataset: Dataset,
    split: Split,
    references: References | None,
    table: Callable[[Split, Reference], pd.DataFrame],
) -> pd.DataFrame:
    """Put the tables of all contexts that are tested together, in the order of the test perturbations."""
    tables = []
    for context in split.contexts:
        part = split.of_context(context)
        tables.append(table(part, references[context] if references else reference_of(dataset, part)))
    return pd.concat(tables) if len(tables) > 1 else tables[0]


def counts_of_both(dataset: Dataset, split: Split, predicted: Mapping[str, Matrix]) -> Counts | None:
    """Return the counts of the test perturbations and of their predictions, where both have some."""
    layers = dataset.adata.layers
    if "counts" not in layers or not isinstance(predicted, PredictedCounts):
        return None
    from benchmark.evaluation.metrics.counts import Counts, count_reference

    shared = split.controls is None
    reference = count_reference(
        layers["counts"][scored_controls(dataset, split)],
        tuple(dataset.adata.var_names),
        None if shared else layers["counts"][matched_controls(dataset, split)],
    )
    return Counts(reference, cells_by_label(dataset, split.test, "counts"), predicted.counts)


def ceiling(dataset: Dataset, split: Split, references: References | None = None) -> pd.DataFrame:
    """Score one half of the real cells of each test perturbation as a prediction of the other half.

    The mean over `HALVINGS` seeded divisions; a metric that is undefined in some is averaged over the rest.
    Halves hold fewer cells than what a method predicts and is compared with, so a method may well lie above.
    A perturbation with fewer than `FEWEST` cells has no ceiling. `references` as in `score`.

    Returns
    -------
    pandas.DataFrame
        As `evaluate` returns it; NaN for perturbations without a ceiling.

    Raises
    ------
    BenchmarkError
        When no perturbation has enough cells.
    """
    sizes = Counter(labels_of(dataset.adata.obs))
    enough = {label for label in split.test if sizes[label] >= FEWEST}
    if not enough:
        raise BenchmarkError(
            f"No test perturbation of '{dataset.name}', split {split.scheme}-{split.seed}, has {FEWEST} "
            "cells, so that none can be halved for a ceiling; use data with more cells."
        )

    def table(part: Split, reference: Reference) -> pd.DataFrame:
        held_out = held_out_cells(dataset, part)
        usable = [label for label in part.test if label in enough]
        if not usable:
            return pd.DataFrame(index=list(part.test))
        halved = []
        for seed in range(HALVINGS):
            truth, guess = (
                LazyCells(usable, partial(half, held_out, seed=seed, which=which)) for which in range(2)
            )
            halved.append(evaluate(reference, truth, guess))
        return pd.concat(halved).groupby(level=0, sort=False).mean().reindex(list(part.test))

    return _over_contexts(dataset, split, references, table).rename_axis("perturbation")


def limit(dataset: Dataset, split: Split, references: References | None = None) -> pd.DataFrame:
    """Score draws of the true means of the test perturbations, see `benchmark.evaluation.limit`.

    The mean over `DRAWS` of them. `references` as in `score`.

    Returns
    -------
    pandas.DataFrame
        As `evaluate` returns it, with the metrics that read means alone.
    """

    def table(part: Split, reference: Reference) -> pd.DataFrame:
        with bounded(cache_folder(TRUTH)) as truth:
            drawn = evaluate_means(reference, held_out_cells(dataset, part), true_means, truth)
        return pd.concat(drawn).groupby(level=0, sort=False).mean()

    return _over_contexts(dataset, split, references, table).rename_axis("perturbation")


def true_means(real: Response) -> np.ndarray:
    """Draw what the true mean may be: (draws, genes)."""
    control = real.control
    error = error_of_mean(real.variance, real.n_cells, control.variance)
    rng = np.random.default_rng(list(real.label.encode()))
    changes = draw_true_changes(real.mean - control.mean, error, DRAWS, rng)
    return np.maximum(control.mean + changes, 0)


def half(cells_of: Mapping[str, Matrix], label: str, seed: int, which: int) -> Matrix:
    """Return one of the two halves of the cells of a perturbation; a seed divides all alike."""
    cells = cells_of[label]
    order = np.random.default_rng(seed).permutation(cells.shape[0])
    middle = len(order) // 2
    return cells[np.sort((order[:middle], order[middle:])[which])]


BOUNDS: dict[str, Callable[..., pd.DataFrame]] = {"limit": limit, "ceiling": ceiling}
"""What is computed under the name of a bound: (dataset, split, references) -> scores."""


def _genes_of_double(label: str) -> tuple[str, ...]:
    perturbation = Perturbation.parse(label)
    return perturbation.genes if perturbation.is_double else ()
