"""Every picture of a run, drawn, or left out with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.machine.progress import stage
from benchmark.report.drawing import as_png
from benchmark.report.picture import LeftOutError, Picture
from benchmark.report.subject import Subject


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
