"""What several pictures need of a run, and the sentence that says so where it is missing."""

from __future__ import annotations

from collections.abc import Mapping

from benchmark.report.picture import LeftOutError
from benchmark.report.refit import CascadeTrace
from benchmark.report.subject import Subject


def predicted_cells(subject: Subject) -> None:
    """Leave a picture out where nothing was predicted."""
    if not subject.predicted:
        raise LeftOutError("The run kept no predicted cells: it measures real cells against real cells.")


def one_by_one(subject: Subject) -> tuple[str, ...]:
    """Return the chosen perturbations, where there are predictions of them."""
    predicted_cells(subject)
    return subject.chosen


def traces(subject: Subject) -> Mapping[str, CascadeTrace]:
    """Return how perturbations were predicted in two stages, where that is known."""
    if not subject.cascade.traces:
        raise LeftOutError(subject.cascade.missing)
    return subject.cascade.traces
