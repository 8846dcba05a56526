"""What a report is about: one run, what it predicted, and the real cells."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from benchmark.board import HEADLINE
from benchmark.counted import dense
from benchmark.data import Dataset
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import Reference
from benchmark.evaluation.metrics.differential import differential_expression
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.sorted_cells import Matrix, mean_of
from benchmark.evaluation.submission import Predicts
from benchmark.predicting import sample_cells
from benchmark.records.record import Record
from benchmark.report.refit import Cascade
from benchmark.splits import Split
from benchmark.splits.views import control_cells, held_out_cells, scored_controls

SHOWN = 4
"""Perturbations that are drawn one by one, unless others are named."""
ALIKE, TINY = 0.5, 1e-3
"""Share of genes that change alike in all cells, up to a tiny difference, from which cells count as moved.

Nothing generated comes near it; of moved cells it is missed by the genes that zeros make room for.
"""
CHOSEN_BY = "pearson"
"""The metric by which they are chosen: from the best predicted to the worst."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One run in one context, with everything that pictures of it are made from.

    Attributes
    ----------
    record
        Its record, of this context.
    dataset, split, reference
        What it was scored on.
    predicted
        Test perturbation -> predicted cells, (cells, genes) log1p CP10K; empty where none were kept.
    predicts
        Whether it claims to predict cells, or means alone.
    chosen
        Test perturbations that are drawn one by one.
    curves
        Name -> (step, value): what the training reported.
    cascade
        What is known of how it predicted in two stages.
    """

    record: Record
    dataset: Dataset
    split: Split
    reference: Reference
    predicted: Mapping[str, Matrix]
    predicts: Predicts
    chosen: tuple[str, ...]
    curves: Mapping[str, Sequence[tuple[int, float]]]
    cascade: Cascade
    _responses: dict[str, tuple[Response, Response]] = field(default_factory=dict)

    @property
    def context(self) -> str:
        """The context; empty where the data have not several."""
        return self.split.contexts[0]

    @property
    def genes(self) -> list[str]:
        """Gene symbols, in the order of every array of genes."""
        return list(self.reference.genes)

    @cached_property
    def real(self) -> Mapping[str, csr_matrix]:
        """Test perturbation -> real cells."""
        return held_out_cells(self.dataset, self.split)

    @cached_property
    def control(self) -> csr_matrix:
        """The control cells that real changes are measured against."""
        return self.dataset.adata.X[scored_controls(self.dataset, self.split)]

    @cached_property
    def real_changes(self) -> dict[str, np.ndarray]:
        """Test perturbation -> mean over real cells minus mean over control cells, (genes,)."""
        return {label: mean_of(cells) - self.reference.control.mean for label, cells in self.real.items()}

    @cached_property
    def predicted_changes(self) -> dict[str, np.ndarray]:
        """The same of predicted cells, from the control cells that methods are given."""
        control = self.reference.given.mean
        return {label: mean_of(self.predicted[label]) - control for label in self.real if self.predicted}

    @cached_property
    def moves_cells_as_one(self) -> bool:
        """Whether what is called predicted cells are the control cells, all moved by the same change.

        Values that would have fallen below 0 do not count. That the cells differ from each other is then no
        prediction, and a test between them and control cells takes the spread of these for one.
        """
        if self.predicts == "mean":
            return True
        at = self.record.coordinates
        controls = control_cells(self.dataset, self.split)
        start = dense(sample_cells(controls, at.cells, at.seed, at.samples).X)
        shares = [_moved_alike(dense(self.predicted[label]), start) for label in self.chosen]
        return min(shares, default=0.0) > ALIKE

    @cached_property
    def groups(self) -> dict[str, str]:
        """Test perturbation -> its group."""
        return dict(zip(self.record.perturbations, self.record.groups, strict=True))

    def responses(self, label: str) -> tuple[Response, Response]:
        """The real and the predicted response to one perturbation, with tests; computed once."""
        if label not in self._responses:
            real = differential_expression(self.reference, label, self.real[label])
            predicted = differential_expression(
                self.reference, label, self.predicted[label], control=self.reference.given
            )
            self._responses[label] = real, predicted
        return self._responses[label]


def _moved_alike(cells: np.ndarray, start: np.ndarray) -> float:
    """Share of the genes whose values in all cells were moved alike: (cells, genes) from where they began."""
    if cells.shape != start.shape:
        return 0.0
    moved = np.where(cells > 0, cells - start, np.nan)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # genes that fell below 0 in all cells
        spread = np.nanmax(moved, axis=0) - np.nanmin(moved, axis=0)
    return float(np.mean(spread[~np.isnan(spread)] < TINY)) if (~np.isnan(spread)).any() else 0.0


def require_tested(record: Record, asked: Sequence[str]) -> None:
    """Refuse perturbations that are not in the test part.

    Raises
    ------
    BenchmarkError
        When one is not.
    """
    for label in asked:
        if label not in record.perturbations:
            raise unknown("test perturbation", label, record.perturbations)


def choose(record: Record, asked: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the perturbations that were asked for, or some from the best predicted to the worst.

    Unless asked, they are spread evenly over the order of their Pearson correlation, both ends included;
    those for which it is undefined, or which the method refused, are left out where others are left.

    Raises
    ------
    BenchmarkError
        When one that was asked for is not in the test part.
    """
    require_tested(record, asked)
    if asked:
        return tuple(dict.fromkeys(asked))
    metric = CHOSEN_BY if CHOSEN_BY in record.scores else HEADLINE[0]
    if metric not in record.scores:
        raise BenchmarkError(
            f"The run has no scores in {CHOSEN_BY} to choose perturbations by; name some: --perturbations A."
        )
    values = dict(zip(record.perturbations, record.scores[metric], strict=True))
    defined = {label: value for label, value in values.items() if value is not None}
    usable = [label for label in defined if label not in record.fallbacks] or list(values)
    ordered = sorted(usable, key=lambda label: (-defined.get(label, 0.0), label))
    places = np.linspace(0, len(ordered) - 1, min(SHOWN, len(ordered))).round().astype(int)
    return tuple(ordered[place] for place in places)
