"""What a picture of a report is: its numbers, drawn, or left out with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from benchmark.machine.progress import stage
from benchmark.report.looks import as_png
from benchmark.report.refit import CascadeTrace
from benchmark.report.subject import Subject


class LeftOutError(Exception):
    """A picture does not apply to a run; the text is a sentence that says why."""


@dataclass(frozen=True)
class Picture:
    """One picture: its numbers are computed first, and drawn as they are.

    Attributes
    ----------
    name
        Of its files, ``NAME.png`` and ``NAME.csv``.
    title
        Its heading.
    reading
        How it is read, in a sentence or two.
    numbers
        Computes the table that is drawn and kept; raises `LeftOutError` where the picture does not apply.
    draw
        Draws the table.
    """

    name: str
    title: str
    reading: str
    numbers: Callable[[Subject], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure]


@dataclass(frozen=True)
class Drawn:
    """What came of one picture.

    Attributes
    ----------
    picture
        Which.
    png, csv
        The picture and its numbers; empty where it was left out.
    left_out
        Why, then.
    """

    picture: Picture
    png: bytes = b""
    csv: str = ""
    left_out: str = ""


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


def draw_all(subject: Subject, pictures: Sequence[Picture]) -> list[Drawn]:
    """Draw all pictures that apply."""
    drawn = []
    with stage("pictures", len(pictures)) as progress:
        for picture in pictures:
            drawn.append(_drawn(subject, picture))
            progress.advance()
    return drawn


def _drawn(subject: Subject, picture: Picture) -> Drawn:
    try:
        table = picture.numbers(subject)
    except LeftOutError as reason:
        return Drawn(picture, left_out=str(reason))
    return Drawn(picture, png=as_png(picture.draw(table)), csv=table.to_csv(index=False))
