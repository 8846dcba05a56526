"""What a run predicted, scored as the challenge does, in each context that a split tests."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pandas as pd

from benchmark.contexts import NONE
from benchmark.counted import Expression, PredictedCounts
from benchmark.data import Dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.perturbation import Perturbation
from benchmark.records.lookup import Question, predictions
from benchmark.records.record import Record
from benchmark.records.tracking import Tracker
from benchmark.splits import Split
from benchmark.splits.views import cells_by_label, scored_controls
from benchmark.studies.vcc2026.anchors import HALVINGS
from benchmark.studies.vcc2026.known import anchors
from benchmark.studies.vcc2026.scale import scaled, score
from benchmark.studies.vcc2026.suite import Context, means, measure


@dataclass(frozen=True)
class ContextScore:
    """The six of one context, and what they come to.

    Attributes
    ----------
    table
        A row per perturbation, a column for each of the six.
    holds
        What was compared: counts, or log1p values.
    values, low, high, scaled
        Of each of the six: what the prediction scores, what the mean response and the replicate score, and
        where the first stands between these.
    halvings, seed
        How the anchors were computed.
    context
        What it is called; empty where the data have not several.
    unmeasured
        Targets that are no gene of the data, so that they could not be left out.
    """

    table: pd.DataFrame
    holds: Expression
    values: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    scaled: dict[str, float]
    halvings: int
    seed: int
    context: str = NONE
    unmeasured: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The mean of the six scaled scores."""
        return score(self.scaled)


def unmeasured(dataset: Dataset, labels: Iterable[str]) -> list[str]:
    """Return the targets of perturbations that are no gene of a data set, which nobody can leave out.

    Raises
    ------
    BenchmarkError
        When that is all of them: labels are no gene names, and leaving out targets would leave out nothing.
    """
    genes = set(dataset.adata.var_names)
    targets = {gene for label in labels for gene in Perturbation.parse(label).genes}
    missing = sorted(targets - genes)
    if len(missing) == len(targets):
        raise BenchmarkError(
            f"None of the {len(targets)} targets of '{dataset.name}', such as '{missing[0]}', is one of its "
            f"genes, such as '{dataset.adata.var_names[0]}', so that none can be scored without its "
            "target; name genes and labels alike."
        )
    return missing


def context_of(dataset: Dataset, split: Split, holds: Expression) -> Context:
    """Take the real cells of a split: its control cells, which both sides share, and its test perturbations.

    Raises
    ------
    BenchmarkError
        When methods and real changes have control cells of their own: there would be no one reference; or no
        target is a gene of the data.
    """
    unmeasured(dataset, split.test)
    if split.controls is not None:
        raise BenchmarkError(
            "The challenge measures both sides against the same control cells; run with --shared-controls."
        )
    layer = "counts" if holds == "counts" else None
    matrix = dataset.adata.X if layer is None else dataset.adata.layers[layer]
    return Context(
        tuple(dataset.adata.var_names),
        matrix[scored_controls(dataset, split)],
        cells_by_label(dataset, split.test, layer),
        holds,
    )


def score_run(
    tracker: Tracker, record: Record, question: Question, halvings: int = HALVINGS, seed: int = 0
) -> list[ContextScore]:
    """Score what a finished run predicted, of counts where it and the data hold counts.

    Parameters
    ----------
    tracker
        Where the run is.
    record
        Its record.
    question
        Data and split that it answered, with shared control cells.
    halvings, seed
        Of the anchors.

    Returns
    -------
    list of ContextScore
        Of each context that is tested, in alphabetical order, with its own control cells and anchors.
    """
    dataset, split, _ = question
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        predicted, _ = predictions(tracker, record, question, Path(folder))
        return score_contexts(dataset, split, predicted, halvings, seed)


def score_contexts(
    dataset: Dataset, split: Split, predicted: Mapping[str, Matrix], halvings: int = HALVINGS, seed: int = 0
) -> list[ContextScore]:
    """Do as `score_run` with the predicted cells of each test perturbation at hand.

    Raises
    ------
    BenchmarkError
        When a context cannot be scored; the sentence names it.
    """
    found = []
    for name in split.contexts:
        try:
            found.append(_score(dataset, split.of_context(name), name, predicted, halvings, seed))
        except BenchmarkError as error:
            raise BenchmarkError(f"In context '{name}': {error}" if name else str(error)) from error
    return found


def mean_score(found: Sequence[ContextScore]) -> float:
    """Return the mean over contexts, each with the same weight, as cell-eval2 has it.

    A context that several seeds tested counts with the mean over these.
    """
    by_context: dict[str, list[float]] = defaultdict(list)
    for each in found:
        by_context[each.context].append(each.score)
    return fmean(fmean(scores) for scores in by_context.values())


def _score(
    dataset: Dataset,
    split: Split,
    name: str,
    predicted: Mapping[str, Matrix],
    halvings: int,
    seed: int,
) -> ContextScore:
    """Score one context, which is all that a split tests."""
    of_counts = isinstance(predicted, PredictedCounts) and "counts" in dataset.adata.layers
    context = context_of(dataset, split, "counts" if of_counts else "log1p")
    own = predicted.counts if of_counts and isinstance(predicted, PredictedCounts) else predicted
    table = measure(context, own)
    values, (low, high) = means(table), anchors(context, seed, halvings)
    return ContextScore(
        table=table,
        holds=context.holds,
        values=values,
        low=low,
        high=high,
        scaled=scaled(values, low, high),
        halvings=halvings,
        seed=seed,
        context=name,
        unmeasured=tuple(unmeasured(dataset, split.test)),
    )
