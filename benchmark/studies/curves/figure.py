"""The figure: above, error against processor seconds; below, error against the part of the training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmark.board import HEADLINE
from benchmark.evaluation.metrics import METRICS
from benchmark.studies.curves.points import Curves, Point

INK, MUTED, GRID = "#1f2430", "#5b6472", "#d9dde3"
COLOURS = ("#1b6ca8", "#b3541e", "#2e7d4f", "#8a4f9e", "#a3842b", "#3d8f94")
DASHES = ("-", "--", "-.", ":", (0, (1, 3)))
DOTS_PER_INCH = 150
LEAST_SECONDS = 1e-3
"""As records have them: what takes less stands here, since a logarithm has no place for none at all."""


def draw(curves: Curves, path: Path) -> None:
    """Draw a column for each headline metric as a PNG; simple methods are grey lines across."""
    figure = Figure(figsize=(3.1 * len(HEADLINE), 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(HEADLINE), squeeze=False)
    for metric, above, below in zip(HEADLINE, panels[0], panels[1], strict=True):
        for (method, points), colour in zip(curves.points.items(), _colours(curves), strict=True):
            costs = [(each.processor_seconds, each) for each in points if each.share == 1]
            timed = [(max(cost, LEAST_SECONDS), each) for cost, each in costs if cost is not None]
            _line(above, metric, timed, colour, method)
            _line(below, metric, [(each.share, each) for each in points if each.budget == 1], colour, method)
        for panel in (above, below):
            _references(panel, metric, curves)
            _dress(panel)
        spec = METRICS[metric].spec
        above.set_title(spec.heading, fontsize=11, color=INK, loc="left")
        above.set_xscale("log")
        above.set_xlabel("processor seconds of training", fontsize=9, color=MUTED)
        below.set_xlabel("part of the training perturbations", fontsize=9, color=MUTED)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    figure.suptitle(f"Cost against accuracy: {curves.asked.dataset}, split {curves.asked.split}", color=INK)
    figure.savefig(path, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})


def _colours(curves: Curves) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(len(curves.points))]


def _line(panel: Axes, metric: str, points: Sequence[tuple[float, Point]], colour: str, label: str) -> None:
    """One method: its means in the order of their places, with intervals; the own budget is filled."""
    known = [
        (place, point, found, found.mean)
        for place, point in sorted(points, key=lambda pair: pair[0])
        if (found := point.estimates.get(metric)) is not None and found.mean is not None
    ]
    if not known:
        return
    places, means = [place for place, *_ in known], [mean for *_, mean in known]
    panel.plot(places, means, color=colour, linewidth=1.6, label=label)
    for place, point, found, mean in known:
        if found.low is not None and found.high is not None:
            panel.plot([place, place], [found.low, found.high], color=colour, linewidth=1, alpha=0.6)
        face = colour if point.budget == point.share == 1 else "white"
        panel.plot(place, mean, "o", color=colour, markerfacecolor=face, markersize=5)


def _references(panel: Axes, metric: str, curves: Curves) -> None:
    for (name, point), dash in zip(curves.references.items(), DASHES, strict=False):
        found = point.estimates.get(metric)
        if found is not None and found.mean is not None:
            panel.axhline(found.mean, color=MUTED, linewidth=1, linestyle=dash, label=name)


def _dress(panel: Axes) -> None:
    panel.tick_params(labelsize=8, colors=MUTED, length=0)
    panel.grid(color=GRID, linewidth=0.7)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(GRID)
