"""What a picture of a report is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

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
