"""How every picture looks: colours that the colour-blind tell apart (Okabe and Ito 2008), axes, files."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2430", "#5b6472", "#d9dde3"
CONTROL, REAL, PREDICTED, THIRD, FOURTH = "#9aa1ab", "#0072b2", "#d55e00", "#009e73", "#cc79a7"
CYCLE = (REAL, PREDICTED, THIRD, FOURTH, "#e69f00", "#56b4e9")
DOTS_PER_INCH = 130
UP_AND_DOWN = LinearSegmentedColormap.from_list(
    "down and up", ["#0b4f8a", "#8fbfe0", "#f4f4f2", "#f0a868", "#a63d00"]
)
"""Blue for down, orange for up, nearly white for no change."""


def panels(
    count: int, *, columns: int = 2, width: float = 5.0, height: float = 4.0
) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` tidy panels; `width` and `height` of each are inches."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
    for panel in axes[:count]:
        tidy(panel)
    for panel in axes[count:]:
        panel.remove()
    return figure, axes[:count]


def tidy(panel: Axes) -> None:
    """Leave of a panel what is read: two axes, a light grid, grey numbers."""
    panel.tick_params(labelsize=8, colors=MUTED, length=0)
    panel.grid(color=GRID, linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["bottom", "left"]].set_color(GRID)


def name_axes(panel: Axes, x: str, y: str, title: str = "") -> None:
    """Write what is on the axes, and above them."""
    panel.set_xlabel(x, color=INK, fontsize=9)
    panel.set_ylabel(y, color=INK, fontsize=9)
    panel.set_title(title, color=INK, fontsize=10, loc="left")


def name_dot(panel: Axes, name: str, at: tuple[float, float], *, left: bool, below: bool = False) -> None:
    """Write the name of a dot beside it."""
    panel.annotate(
        name,
        at,
        textcoords="offset points",
        xytext=(-4 if left else 4, -9 if below else 3),
        ha="right" if left else "left",
        fontsize=7,
        color=INK,
    )


def dots_of_groups(panel: Axes, x: pd.Series, y: pd.Series, groups: pd.Series, size: float = 22) -> None:
    """Draw a dot for each entry, in the colour of its group."""
    for colour, (group, rows) in zip(CYCLE, groups.groupby(groups), strict=False):
        where = rows.index
        panel.scatter(x[where], y[where], s=size, color=colour, alpha=0.8, linewidths=0, label=group)


def fit_axes(panel: Axes, x: pd.Series, y: pd.Series) -> None:
    """Let the axes reach a little beyond these values."""
    panel.set_xlim(*_reach(x))
    panel.set_ylim(*_reach(y))


def _reach(values: pd.Series) -> tuple[float, float]:
    margin = 0.05 * (values.max() - values.min()) or 1.0
    return values.min() - margin, values.max() + margin


def colour_bar(figure: Figure, shown: ScalarMappable, axes: Sequence[Axes], label: str) -> None:
    """Put beside some panels what their colours stand for."""
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label(label, color=INK, fontsize=9)
    bar.ax.tick_params(labelsize=8, colors=MUTED)


def key(figure: Figure, panel: Axes, columns: int = 6) -> None:
    """Put the legend of one panel below the whole figure."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def as_png(figure: Figure) -> bytes:
    """Draw a figure as a PNG; the same figure gives the same bytes."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
    return file.getvalue()
