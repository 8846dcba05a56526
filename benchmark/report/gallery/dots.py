"""The genes that really change most, up and down, as dots: real, predicted and control cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from benchmark.evaluation.metrics.response import FDR_THRESHOLD, Response
from benchmark.report.looks import INK, MUTED, UP_AND_DOWN, colour_bar, key, name_axes, panels
from benchmark.report.picture import LeftOutError, Picture, one_by_one
from benchmark.report.subject import Subject

EACH_WAY = 8
"""Genes up, and genes down."""
SIDES = ("control", "real", "predicted")
AREA = 130.0
"""Of the dot of a gene that is expressed in all cells, square points."""


def numbers(subject: Subject) -> pd.DataFrame:
    """One row per chosen perturbation, gene and side: change of the mean, share of cells that express it."""
    shares = _expressed(subject.reference.control.values)
    tables = [_of(subject, label, shares) for label in one_by_one(subject)]
    table = pd.concat(tables, ignore_index=True)
    if table.empty:
        raise LeftOutError("No gene is differentially expressed in the real cells of these perturbations.")
    return table


def _of(subject: Subject, label: str, control: np.ndarray) -> pd.DataFrame:
    real, predicted = subject.responses(label)
    sides = {
        "control": (np.zeros(len(control)), control),
        "real": (real.change, _expressed(real.ascending)),
        "predicted": (predicted.change, _expressed(predicted.ascending)),
    }
    return pd.DataFrame(
        [
            {
                "perturbation": label,
                "gene": subject.genes[gene],
                "direction": "up" if real.change[gene] > 0 else "down",
                "side": side,
                "change": change[gene],
                "share_expressing": share[gene],
            }
            for gene in top_genes(real)
            for side, (change, share) in sides.items()
        ],
        columns=["perturbation", "gene", "direction", "side", "change", "share_expressing"],
    )


def top_genes(real: Response) -> list[int]:
    """DE genes of largest change of the mean: up, the largest first, then down, the largest last."""
    by_change = real.de_genes[np.argsort(-real.change[real.de_genes], kind="stable")]
    up = [int(gene) for gene in by_change if real.change[gene] > 0][:EACH_WAY]
    down = [int(gene) for gene in by_change if real.change[gene] < 0][-EACH_WAY:]
    return up + down


def _expressed(ascending: np.ndarray) -> np.ndarray:
    """Share of cells in which each gene is above zero, from (genes, cells)."""
    return (ascending > 0).mean(axis=1)


def draw(table: pd.DataFrame) -> Figure:
    """One panel per perturbation, a row per gene and a column per side."""
    parts = list(table.groupby("perturbation", sort=False))
    figure, axes = panels(len(parts), columns=4, width=2.9, height=1.2 + 0.3 * 2 * EACH_WAY)
    largest = table["change"].abs().max() or 1.0
    scale = Normalize(-largest, largest)
    for panel, (label, part) in zip(axes, parts, strict=True):
        genes = list(dict.fromkeys(part["gene"]))
        dots = panel.scatter(
            part["side"].map(SIDES.index),
            part["gene"].map(genes.index),
            s=4 + AREA * part["share_expressing"],
            c=part["change"],
            cmap=UP_AND_DOWN,
            norm=scale,
            edgecolors=MUTED,
            linewidths=0.5,
        )
        up = int((part["direction"] == "up").sum() / len(SIDES))
        panel.axhline(up - 0.5, color=INK, linewidth=0.8)
        panel.set_xticks(range(len(SIDES)), SIDES)
        panel.set_yticks(range(len(genes)), genes)
        panel.set_xlim(-0.6, len(SIDES) - 0.4)
        panel.set_ylim(len(genes) - 0.4, -0.6)
        name_axes(panel, "", "", f"{label}: {up} up, {len(genes) - up} down")
    colour_bar(figure, dots, axes, "change of the mean against control (log1p CP10K)")
    for share in (0.1, 0.5, 1.0):
        axes[0].scatter(
            [],
            [],
            s=4 + AREA * share,
            color="white",
            edgecolors=MUTED,
            label=f"{share:.0%} of cells express it",
        )
    key(figure, axes[0], columns=3)
    return figure


PICTURE = Picture(
    name="dots",
    title="The genes that change most, in both directions",
    reading=f"Up to {EACH_WAY} genes that really go up (above the line) and {EACH_WAY} that go down, among "
    f"those that are differentially expressed in the real cells (FDR < {FDR_THRESHOLD}). Where the predicted "
    "dot has the colour of the real one, direction and size of the change are right; the size of a dot is "
    "the share of cells in which the gene is expressed.",
    numbers=numbers,
    draw=draw,
)
