"""Two plots of predictions and scores; each draws on given axes, and returns them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 6
"""Genes of largest real change that get their name."""


def plot_change_of_genes(
    real: np.ndarray, predicted: np.ndarray, genes: Sequence[str], title: str, ax: Axes | None = None
) -> Axes:
    """Plot predicted against real changes, one point per gene; a perfect prediction lies on the line.

    Parameters
    ----------
    real, predicted
        Change of mean expression, (genes,), log1p of counts per 10,000.
    genes
        Their names.
    title
        Over the plot.
    ax
        Where to draw; a new figure unless given.
    """
    ax = _axes(ax, (4.5, 4.5))
    ends = np.array([min(real.min(), predicted.min()), max(real.max(), predicted.max())])
    ax.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
    ax.scatter(real, predicted, s=14, alpha=0.6, linewidths=0)
    for index in np.argsort(-np.abs(real))[:NAMED]:
        ax.annotate(str(genes[index]), (real[index], predicted[index]), fontsize=7)
    ax.set(xlabel="real change", ylabel="predicted change", title=title)
    return ax


def plot_scores(scores: Mapping[str, pd.DataFrame], metric: str, ax: Axes | None = None) -> Axes:
    """Plot one metric of several methods: a point per test perturbation, a bar at the mean.

    Parameters
    ----------
    scores
        Name of a method -> its scores, as `benchmark.api.score` returns them.
    metric
        A column of them.
    ax
        Where to draw; a new figure unless given.
    """
    ax = _axes(ax, (5.5, 0.6 + 0.5 * len(scores)))
    for row, table in enumerate(scores.values()):
        values = table[metric].dropna()
        ax.scatter(values, np.full(len(values), row), s=16, alpha=0.5, linewidths=0, color="tab:blue")
        ax.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color="tab:orange", linewidth=3)
    ax.set(yticks=range(len(scores)), yticklabels=list(scores), xlabel=metric)
    ax.invert_yaxis()
    return ax


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]
