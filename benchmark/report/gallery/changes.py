"""Predicted against real change, gene by gene."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmark.evaluation.metrics.agreement import correlation
from benchmark.evaluation.metrics.response import FDR_THRESHOLD
from benchmark.report.looks import CONTROL, INK, REAL, key, name_axes, name_dot, panels
from benchmark.report.picture import Picture, one_by_one
from benchmark.report.subject import Subject

NAMED = 8
"""Genes of large real change whose names are written, at most."""


def numbers(subject: Subject) -> pd.DataFrame:
    """One row per chosen perturbation and gene: both changes, and the FDR of the real one."""
    return pd.concat([_of(subject, label) for label in one_by_one(subject)], ignore_index=True)


def _of(subject: Subject, label: str) -> pd.DataFrame:
    real, predicted = subject.responses(label)
    return pd.DataFrame(
        {
            "perturbation": label,
            "gene": subject.genes,
            "real_change": real.change,
            "predicted_change": predicted.change,
            "real_fdr": real.fdr,
        }
    )


def draw(table: pd.DataFrame) -> Figure:
    """One panel per perturbation, all on the same scale."""
    parts = list(table.groupby("perturbation", sort=False))
    figure, axes = panels(len(parts))
    values = table[["real_change", "predicted_change"]].to_numpy()
    low, high = values.min(), values.max()
    margin = 0.08 * (high - low) or 1.0
    for panel, (label, part) in zip(axes, parts, strict=True):
        significant = part["real_fdr"] < FDR_THRESHOLD
        panel.plot(
            [low, high], [low, high], color=INK, linewidth=0.8, linestyle="--", label="predicted = real"
        )
        panel.plot([low, high], [0, 0], color=INK, linewidth=0.5)
        for rows, colour, name in (
            (part[~significant], CONTROL, "real change not significant"),
            (part[significant], REAL, f"significant at FDR < {FDR_THRESHOLD}"),
        ):
            panel.scatter(
                rows["real_change"],
                rows["predicted_change"],
                s=12,
                color=colour,
                alpha=0.7,
                label=name,
                linewidths=0,
            )
        for row in apart(part, 0.05 * (high - low)).itertuples():
            left = row.real_change > (low + high) / 2
            name_dot(panel, row.gene, (row.real_change, row.predicted_change), left=left)
        r = correlation(part["real_change"].to_numpy(), part["predicted_change"].to_numpy())
        name_axes(
            panel,
            "real change of the mean (log1p CP10K)",
            "predicted change (log1p CP10K)",
            f"{label}   r = {r:.2f}" if np.isfinite(r) else label,
        )
        panel.set_xlim(low - margin, high + margin)
        panel.set_ylim(low - margin, high + margin)
    key(figure, axes[0])
    return figure


def apart(part: pd.DataFrame, distance: float) -> pd.DataFrame:
    """Rows of the largest real changes without those so near to a larger one that names would collide."""
    points = part[["real_change", "predicted_change"]].to_numpy()
    kept: list[int] = []
    for row in np.argsort(-np.abs(points[:, 0]), kind="stable")[: 2 * NAMED]:
        if all(abs(points[row] - points[other]).max() > distance for other in kept):
            kept.append(int(row))
    return part.iloc[kept[:NAMED]]


PICTURE = Picture(
    name="changes",
    title="Predicted against real change of each gene",
    reading="A dot is a gene. On the dashed line the change is predicted exactly; on the horizontal line no "
    "change is predicted. Genes of large real change are named where there is room.",
    numbers=numbers,
    draw=draw,
)
