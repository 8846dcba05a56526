"""The figure of the report: one panel per headline metric, one line per comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.board import HEADLINE
from benchmark.studies.order.arms import Comparison
from benchmark.studies.order.power import smallest_found
from benchmark.studies.order.reading import read
from benchmark.studies.order.statistics import Difference, turned

INK, MUTED, GRID = "#1f2430", "#5b6472", "#d9dde3"
COLOURS = {"order": "#1b6ca8", "source": "#b3541e", "told latent": "#2f7d4f", "latent": "#6b6b6b"}
DOTS_PER_INCH = 150
READING = "Mean paired difference over test perturbations; right of zero the first is better"


def draw(comparisons: Mapping[Comparison, Sequence[Difference]], path: Path, title: str) -> None:
    """Draw mean paired differences with 95 % intervals as a PNG; right of zero the first arm is better.

    Grey is what this number of perturbations would likely have missed.

    Parameters
    ----------
    comparisons
        At least one comparison, with its differences.
    path
        The file to write.
    title
        Stands above the panels.
    """
    columns = 2
    rows = -(-len(HEADLINE) // columns)
    figure = Figure(figsize=(10, 1.5 + rows * (0.9 + 0.3 * len(comparisons))), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for metric, panel in zip(HEADLINE, panels, strict=False):
        _draw_metric(metric, comparisons, panel)
    for panel in panels[len(HEADLINE) :]:
        panel.set_visible(False)
    figure.suptitle(f"{title}\n{READING}", color=INK, fontsize=11)
    figure.legend(
        handles=_legend(comparisons), loc="outside lower center", ncols=5, frameon=False, fontsize=9
    )
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})


def _draw_metric(metric: str, comparisons: Mapping[Comparison, Sequence[Difference]], panel: Axes) -> None:
    for place, (pair, differences) in enumerate(comparisons.items()):
        found = next(each for each in differences if each.metric == metric)
        colour = COLOURS[pair.differs_in]
        least = smallest_found(found.deviation, found.n)
        panel.plot([-least, least], [place, place], color=GRID, linewidth=8, solid_capstyle="butt", zorder=0)
        clear = read(found) in ("better", "worse")
        panel.plot([found.low, found.high], [place, place], color=colour, linewidth=2, solid_capstyle="round")
        panel.plot(
            found.mean, place, "o", markersize=7, color=colour, markerfacecolor=colour if clear else "white"
        )
    panel.axvline(0, color=INK, linewidth=1.2, zorder=1)
    panel.set_yticks(range(len(comparisons)), [pair.label for pair in comparisons])
    panel.set_ylim(len(comparisons) - 0.5, -0.5)
    panel.set_title(turned(metric), fontsize=11, color=INK, loc="left")
    panel.tick_params(labelsize=9, colors=MUTED, length=0)
    panel.locator_params(axis="x", nbins=5)
    panel.grid(axis="x", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(GRID)


def _legend(comparisons: Mapping[Comparison, Sequence[Difference]]) -> list[Line2D]:
    kinds = dict.fromkeys(pair.differs_in for pair in comparisons)
    shown = [Line2D([], [], color=COLOURS[kind], linewidth=2, label=f"differs in {kind}") for kind in kinds]
    for face, meaning in ((MUTED, "reads better or worse"), ("white", "reads neither")):
        marker = Line2D([], [], linestyle="", marker="o", color=MUTED, markerfacecolor=face, label=meaning)
        shown.append(marker)
    return [*shown, Line2D([], [], color=GRID, linewidth=8, label="too small to have been found")]
