"""The differences of two runs against how strong effects are, one panel per metric."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from benchmark.report.comparison.pairs import GAIN, Comparison
from benchmark.report.looks import INK, MUTED, as_png, dots_of_groups, key, name_axes, name_dot, panels
from benchmark.studies.order.statistics import Difference

NAMED = 2
"""Largest wins, and losses, whose perturbations are named."""


def draw(comparison: Comparison, first: str, second: str) -> bytes:
    """Draw the picture as a PNG.

    Parameters
    ----------
    comparison
        What is drawn.
    first, second
        What the runs are called.
    """
    figure, axes = panels(len(comparison.metrics), height=3.6)
    for panel, difference in zip(axes, comparison.metrics, strict=True):
        _draw_metric(panel, comparison, difference)
    figure.suptitle(f"{first}\nagainst {second}; above zero the first is better", color=INK, fontsize=11)
    key(figure, axes[0])
    return as_png(figure)


def _draw_metric(panel: Axes, comparison: Comparison, difference: Difference) -> None:
    gain = f"{GAIN}{difference.metric}"
    x, x_name = _across(comparison.table, gain)
    panel.axhline(0, color=INK, linewidth=1)
    dots_of_groups(panel, x, comparison.table[gain], comparison.table["group"])
    if not np.isnan(difference.mean):
        panel.axhline(difference.mean, color=MUTED, linewidth=1.2, linestyle="--", label="mean difference")
    if not np.isnan(difference.low):
        panel.axhspan(
            difference.low, difference.high, color=MUTED, alpha=0.15, linewidth=0, label="95 % interval"
        )
    for part in comparison.extremes(difference.metric, NAMED):
        for place, (index, row) in enumerate(part.iterrows()):
            # The second of two goes below its dot: the first may be just beside it.
            left, below = x[index] > (x.min() + x.max()) / 2, place % 2 == 1
            name_dot(panel, row["perturbation"], (x[index], row[gain]), left=left, below=below)
    name_axes(panel, x_name, f"difference in {difference.metric}", _title(difference))
    panel.margins(x=0.12, y=0.12)


def _across(table: pd.DataFrame, gain: str) -> tuple[pd.Series, str]:
    """Effect sizes, or ranks where there are none."""
    if table["effect_size"].notna().any():
        return table["effect_size"], "effect size: length of the real change (log1p CP10K)"
    return table[gain].rank(), "perturbations, in the order of the difference"


def _title(difference: Difference) -> str:
    if np.isnan(difference.mean):
        return f"{difference.metric}: undefined"
    title = f"{difference.metric}: {difference.mean:+.3f}"
    if np.isnan(difference.low):
        return title
    return f"{title} [{difference.low:+.3f}, {difference.high:+.3f}]"
