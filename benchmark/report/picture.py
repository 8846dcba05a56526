"""What a picture of a report is: its numbers, drawn, or left out with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from benchmark.contexts import NONE
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
    of_training
        Whether it shows the training, which is the same whatever context is tested.
    """

    name: str
    title: str
    reading: str
    numbers: Callable[[Subject], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure]
    of_training: bool = False


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
    context
        Of which context, where the run tests several and the picture is of one.
    """

    picture: Picture
    png: bytes = b""
    csv: str = ""
    left_out: str = ""
    context: str = NONE

    @property
    def file(self) -> str:
        """What its files are called, without their endings."""
        return f"{self.picture.name}-{quote(self.context, safe=' ')}" if self.context else self.picture.name

    @property
    def title(self) -> str:
        """Its heading."""
        return f"{self.picture.title}, in {self.context}" if self.context else self.picture.title


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


def draw_all(subjects: Sequence[Subject], pictures: Sequence[Picture], several: bool = False) -> list[Drawn]:
    """Draw all pictures that apply, of each subject; of `several` contexts, which then are in their names."""
    asked = [
        (subject, picture, subject.context if several and not picture.of_training else NONE)
        for index, subject in enumerate(subjects)
        for picture in pictures
        if not (index and picture.of_training)
    ]
    drawn = []
    with stage("pictures", len(asked)) as progress:
        for subject, picture, context in asked:
            drawn.append(_drawn(subject, picture, context))
            progress.advance()
    return drawn


def _drawn(subject: Subject, picture: Picture, context: str) -> Drawn:
    try:
        table = picture.numbers(subject)
    except LeftOutError as reason:
        return Drawn(picture, left_out=str(reason), context=context)
    return Drawn(picture, as_png(picture.draw(table)), table.to_csv(index=False), context=context)
