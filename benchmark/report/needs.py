"""What several pictures need of a run, and the sentence that says so where it is missing."""

from __future__ import annotations

from benchmark.report.picture import LeftOutError
from benchmark.report.subject import Subject


def predicted_cells(subject: Subject) -> None:
    """Leave a picture out where nothing was predicted."""
    if not subject.predicted:
        raise LeftOutError("The run kept no predicted cells: it measures real cells against real cells.")


def one_by_one(subject: Subject) -> tuple[str, ...]:
    """Return the chosen perturbations, where there are predictions of them."""
    predicted_cells(subject)
    return subject.chosen
