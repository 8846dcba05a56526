"""What each perturbation scored, against how strong its effect is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from benchmark.board import HEADLINE
from benchmark.evaluation.metrics import METRICS
from benchmark.report.looks import dots_of_groups, key, name_axes, panels
from benchmark.report.picture import LeftOutError, Picture
from benchmark.report.subject import Subject


def numbers(subject: Subject) -> pd.DataFrame:
    """One row per test perturbation: group, effect size, whether it was refused, the headline metrics."""
    record = subject.record
    metrics = [name for name in HEADLINE if name in record.scores]
    if not metrics:
        raise LeftOutError("The run was scored in none of the headline metrics; `rescore` computes them.")
    sizes = effect_sizes(subject.real_changes)
    table = pd.DataFrame(
        {
            "perturbation": record.perturbations,
            "group": record.groups,
            "effect_size": [sizes[label] for label in record.perturbations],
            "refused": [label in record.fallbacks for label in record.perturbations],
        }
    )
    return table.assign(**{name: np.array(record.scores[name], dtype=float) for name in metrics})


def effect_sizes(changes: dict[str, np.ndarray]) -> dict[str, float]:
    """Euclidean length over genes of the change of the mean, log1p CP10K."""
    return {label: float(np.linalg.norm(change)) for label, change in changes.items()}


def draw(table: pd.DataFrame) -> Figure:
    """One panel per metric; a colour per group."""
    metrics = [name for name in HEADLINE if name in table]
    figure, axes = panels(len(metrics), height=3.4)
    for panel, metric in zip(axes, metrics, strict=True):
        dots_of_groups(panel, table["effect_size"], table[metric], table["group"])
        refused = table[table["refused"]]
        if len(refused):
            panel.scatter(
                refused["effect_size"],
                refused[metric],
                s=60,
                marker="x",
                color="black",
                linewidths=0.8,
                label="refused: train mean",
            )
        better = "higher" if METRICS[metric].spec.higher_is_better else "lower"
        name_axes(
            panel,
            "effect size: length of the real change (log1p CP10K)",
            f"{metric} ({better} is better)",
            _title(table, metric),
        )
    key(figure, axes[0])
    return figure


def _title(table: pd.DataFrame, metric: str) -> str:
    """Mean, and Spearman's correlation with the effect size where there is one."""
    defined = table.dropna(subset=[metric])
    if defined.empty:
        return f"{metric}: undefined"
    title = f"{metric}: mean {defined[metric].mean():.3f}"
    if len(defined) > 2 and defined[metric].nunique() > 1 and defined["effect_size"].nunique() > 1:
        rho = spearmanr(defined["effect_size"], defined[metric]).statistic
        title += f", rank correlation {rho:.2f}"
    return title


PICTURE = Picture(
    name="effect_size",
    title="Score of each perturbation against its effect",
    reading="A dot is a test perturbation. A method that is good only where effects are strong, or that "
    "loses where they are, shows here; perturbations of weak effect are hard to score by any method.",
    numbers=numbers,
    draw=draw,
)
