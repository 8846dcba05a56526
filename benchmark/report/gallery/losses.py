"""What the training reported, step by step."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.report.looks import REAL, name_axes, panels
from benchmark.report.picture import LeftOutError, Picture
from benchmark.report.subject import Subject


def numbers(subject: Subject) -> pd.DataFrame:
    """One row per curve and step."""
    rows = [
        {"curve": name, "step": step, "value": value}
        for name, curve in sorted(subject.curves.items())
        for step, value in curve
    ]
    if not rows:
        raise LeftOutError("The method reported no losses: it is not trained in steps, or does not say.")
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame) -> Figure:
    """One panel per curve; a loss that falls by more than tenfold has a logarithmic axis."""
    parts = list(table.groupby("curve"))
    figure, axes = panels(len(parts), columns=3, width=3.7, height=2.8)
    for panel, (name, part) in zip(axes, parts, strict=True):
        values = part["value"].to_numpy()
        panel.plot(
            part["step"],
            values,
            color=REAL,
            linewidth=1.3,
            marker="o" if len(part) < 30 else "",
            markersize=3,
        )
        stage, _, quantity = str(name).rpartition("/")
        finite = values[np.isfinite(values)]
        if len(finite) and finite.min() > 0 and finite.max() > 10 * finite.min():
            panel.set_yscale("log")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        name_axes(panel, "training step", quantity, stage)
    return figure


PICTURE = Picture(
    name="losses",
    title="How the training went",
    reading="The values that the method reported while it was trained, thinned to about 200 points a curve.",
    numbers=numbers,
    draw=draw,
    of_training=True,
)
