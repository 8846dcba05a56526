"""The method of a run, trained again: no run keeps its weights, and some pictures are of what they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from anndata import AnnData

from benchmark.data import Dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.perturbation import Perturbation
from benchmark.predicting import sample_cells
from benchmark.records.record import Record
from benchmark.registry import load_method, source_digest
from benchmark.runs.request import Task
from benchmark.runs.run import fit
from benchmark.splits import Split
from benchmark.splits.views import control_cells

CELLS = 16
"""Whose paths are followed."""
STEPS = 12
"""Steps of each stage, at least."""
TOLERANCE = 1e-4
"""How far a predicted value may be off (log1p CP10K) and still count as the same: rounding."""


class CascadeTrace(Protocol):
    """How one perturbation was predicted in two stages, step by step."""

    @property
    def latent(self) -> np.ndarray:
        """Change of the network, standardised: (points, cells, genes, d), from noise on."""

    @property
    def expression(self) -> np.ndarray:
        """Expression, log1p CP10K: (points, cells, genes), from noise on."""

    @property
    def network(self) -> np.ndarray | None:
        """Mean change of the network at the end, (genes, genes), row = gene that reads; None if unknown."""


@runtime_checkable
class TracesCascade(Protocol):
    """A method that can say how it got to a prediction in two stages."""

    def trace(self, control: AnnData, perturbation: Perturbation, steps: int) -> CascadeTrace | None:
        """Follow both stages for one perturbation, in at least so many steps; None where it cannot."""


@dataclass(frozen=True)
class Cascade:
    """What is known of the two stages of a run.

    Attributes
    ----------
    traces
        Perturbation -> how it was predicted; empty where that is not known.
    missing
        Why it is not, as a sentence.
    notes
        What a reader should know of how the traces were made, a sentence each.
    """

    traces: Mapping[str, CascadeTrace] = field(default_factory=dict)
    missing: str = "The method does not generate a change of the network first."
    notes: tuple[str, ...] = ()


def not_asked(record: Record) -> Cascade:
    """Say what is missing without training anything: another method, or the word to train again."""
    try:
        offers = issubclass(load_method(record.coordinates.method), TracesCascade)
    except BenchmarkError:  # predictions from elsewhere, or a method that is no longer here
        offers = False
    return (
        Cascade(missing="A run keeps no weights; --refit trains the method again and draws this.")
        if offers
        else Cascade()
    )


def refitted(
    record: Record, dataset: Dataset, split: Split, predicted: Mapping[str, Matrix], chosen: Sequence[str]
) -> Cascade:
    """Train the method of a run again, as it was, and follow its cascade for some perturbations.

    Whether the new training gives the recorded predictions is checked on the first of them, and noted.

    Raises
    ------
    BenchmarkError
        When the method is not here, or does not work in two stages.
    """
    at = record.coordinates
    method_class = load_method(at.method)
    if not issubclass(method_class, TracesCascade):
        raise BenchmarkError(
            f"--refit is for methods that work in two stages, which '{at.method}' does not; leave it out."
        )
    method_class.require_ready()
    task = Task(at, method_class, method_class.Config(**at.config), "auto", dataset, split, record.tuning)
    method = fit(task).method
    assert isinstance(method, TracesCascade)
    control = control_cells(dataset, split)
    start = sample_cells(control, at.cells, at.seed, at.samples)
    asked = {label: Perturbation.parse(label) for label in chosen if label not in record.fallbacks}
    traces = {label: method.trace(start[:CELLS], each, STEPS) for label, each in asked.items()}
    found = {label: trace for label, trace in traces.items() if trace is not None}
    if not found:
        return Cascade(
            missing="In the order that this run predicts in, no change of the network comes first."
        )
    first = next(iter(found))
    again = next(iter(method.predict(start, [asked[first]])))
    notes = [_same(first, again, predicted[first])]
    if source_digest(method_class) != at.source_digest:
        notes.append("The code of the method has changed since the run.")
    return Cascade(found, "", tuple(notes))


def _same(label: str, again: np.ndarray, before: Matrix) -> str:
    """Say whether two trainings predict the same."""
    before = before if isinstance(before, np.ndarray) else before.toarray()
    if again.shape != before.shape:
        return f"The method was trained again, and predicts another number of cells of {label} than recorded."
    off = float(np.abs(again - before).max())
    if off <= TOLERANCE:
        return f"The method was trained again for the two stages, and predicts the recorded cells of {label}."
    return (
        f"The method was trained again for the two stages, and its cells of {label} differ from the "
        f"recorded ones by up to {off:.2g} (log1p CP10K): what the two stages show is another training "
        "of the same kind."
    )
