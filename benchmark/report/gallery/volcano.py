"""Differential expression of predicted and of real cells, as volcanoes side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmark.evaluation.metrics.response import FDR_THRESHOLD
from benchmark.report.looks import CONTROL, INK, PREDICTED, REAL, THIRD, key, name_axes, panels
from benchmark.report.picture import LeftOutError, Picture, one_by_one
from benchmark.report.subject import Subject

FOLD_LIMIT = 6.0
"""Folds beyond it, such as those of genes that are expressed on one side only, are drawn at it."""
LEAST_FDR = 1e-50
SIDES = ("real", "predicted")
KINDS = {"both": THIRD, "real only": REAL, "predicted only": PREDICTED, "neither": CONTROL}
"""Which side calls a gene differentially expressed, and its colour."""


def numbers(subject: Subject) -> pd.DataFrame:
    """One row per chosen perturbation, side and gene: fold change, FDR, and which sides call it changed."""
    chosen = one_by_one(subject)
    if subject.moves_cells_as_one:
        raise LeftOutError(
            "The method moves control cells as one, or predicts means: a test between cells would take the "
            "spread of control cells for a prediction."
        )
    return pd.concat([table for label in chosen for table in _of(subject, label)], ignore_index=True)


def _of(subject: Subject, label: str) -> list[pd.DataFrame]:
    responses = subject.responses(label)
    real, predicted = (response.fdr < FDR_THRESHOLD for response in responses)
    called = np.select(
        [real & predicted, real, predicted], ["both", "real only", "predicted only"], "neither"
    )
    return [
        pd.DataFrame(
            {
                "perturbation": label,
                "side": side,
                "gene": subject.genes,
                "log2_fold_change": response.log2_fold_change,
                "fdr": response.fdr,
                "called_by": called,
            }
        )
        for side, response in zip(SIDES, responses, strict=True)
    ]


def draw(table: pd.DataFrame) -> Figure:
    """One row per perturbation: real cells left, predicted cells right, on the same axes."""
    parts = list(table.groupby("perturbation", sort=False))
    figure, axes = panels(2 * len(parts), height=3.2)
    for place, (label, part) in enumerate(parts):
        height = _significance(part["fdr"]).max() * 1.05 + 0.5
        for panel, side in zip(axes[2 * place : 2 * place + 2], SIDES, strict=True):
            rows = part[part["side"] == side]
            fold = rows["log2_fold_change"].clip(-FOLD_LIMIT, FOLD_LIMIT)
            score = _significance(rows["fdr"])
            for kind, colour in reversed(KINDS.items()):
                chosen = rows["called_by"] == kind
                panel.scatter(
                    fold[chosen], score[chosen], s=11, color=colour, alpha=0.75, linewidths=0, label=kind
                )
            panel.axhline(-np.log10(FDR_THRESHOLD), color=INK, linewidth=0.7, linestyle="--")
            panel.axvline(0, color=INK, linewidth=0.5)
            panel.set_xlim(-FOLD_LIMIT * 1.05, FOLD_LIMIT * 1.05)
            panel.set_ylim(-0.3, height)
            changed = int((rows["fdr"] < FDR_THRESHOLD).sum())
            name_axes(
                panel,
                "log2 fold change against control",
                "-log10 FDR",
                f"{label}, {side} cells: {changed} DE genes",
            )
    key(figure, axes[0])
    return figure


def _significance(fdr: pd.Series) -> pd.Series:
    """-log10 of the FDR, at most that of `LEAST_FDR`."""
    return -np.log10(fdr.clip(lower=LEAST_FDR))


PICTURE = Picture(
    name="volcano",
    title="Differential expression, real and predicted",
    reading="A dot is a gene; above the dashed line it counts as differentially expressed (Wilcoxon rank-sum "
    f"test against the real control cells, FDR < {FDR_THRESHOLD}). Colours say whether the real cells, the "
    f"predicted cells or both call it changed; fold changes beyond {FOLD_LIMIT:g} are drawn at the edge. "
    "How high dots stand also depends on how many cells each side has.",
    numbers=numbers,
    draw=draw,
)
