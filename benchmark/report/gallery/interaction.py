"""Doubles: what adding the two singles expects, what was predicted and what was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from benchmark.perturbation import Perturbation
from benchmark.report.looks import INK, UP_AND_DOWN, colour_bar, dots_of_groups, name_axes, panels
from benchmark.report.picture import LeftOutError, Picture, predicted_cells
from benchmark.report.subject import Subject

MAPPED = 3
"""Doubles, those of largest real deviation, whose genes are drawn one by one."""
GENES = 14
"""Of each of them, those that deviate most from the sum."""
SIDES = ("additive", "predicted", "real")


def numbers(subject: Subject) -> pd.DataFrame:
    """One row per double and gene, its targets left out: the three changes and the strengths of the double.

    A strength is how far a change goes along the additive expectation, <change, additive> / <additive,
    additive>: 1 where effects add up, less where they buffer each other, more where they reinforce.
    """
    predicted_cells(subject)
    singles = subject.reference.singles
    doubles = [
        label
        for label in subject.record.perturbations
        if Perturbation.parse(label).is_double and singles.keys() >= set(Perturbation.parse(label).genes)
    ]
    if not doubles:
        raise LeftOutError("No test perturbation is a double whose two genes were also perturbed alone.")
    return pd.concat([_of(subject, label) for label in doubles], ignore_index=True)


def _of(subject: Subject, label: str) -> pd.DataFrame:
    reference = subject.reference
    counted = np.setdiff1d(np.arange(len(subject.genes)), reference.targets([label]))
    means = [reference.singles[gene].mean for gene in Perturbation.parse(label).genes]
    changes = {
        "additive": np.sum([mean - reference.control.mean for mean in means], axis=0)[counted],
        "predicted": subject.predicted_changes[label][counted],
        "real": subject.real_changes[label][counted],
    }
    return pd.DataFrame(
        {
            "perturbation": label,
            "group": subject.groups[label],
            "gene": [subject.genes[gene] for gene in counted],
            **changes,
            "real_strength": strength(changes["real"], changes["additive"]),
            "predicted_strength": strength(changes["predicted"], changes["additive"]),
            "real_deviation": float(np.linalg.norm(changes["real"] - changes["additive"])),
        }
    )


def strength(change: np.ndarray, additive: np.ndarray) -> float:
    """How many times the additive expectation a change is, by least squares; NaN where that is zero."""
    length = float(additive @ additive)
    return float(change @ additive) / length if length > 0 else float("nan")


def draw(table: pd.DataFrame) -> Figure:
    """Strengths of all doubles, then the genes of those that deviate most."""
    doubles = table.drop_duplicates("perturbation")
    mapped = doubles.nlargest(MAPPED, "real_deviation")["perturbation"]
    figure, axes = panels(1 + len(mapped), columns=1 + MAPPED, width=3.6, height=4.6)
    _draw_strengths(axes[0], doubles)
    chosen = table[table["perturbation"].isin(mapped)]
    largest = chosen[list(SIDES)].abs().to_numpy().max() or 1.0
    for panel, label in zip(axes[1:], mapped, strict=True):
        shown = _draw_genes(panel, chosen[chosen["perturbation"] == label], Normalize(-largest, largest))
        panel.set_title(label, color=INK, fontsize=10, loc="left")
    colour_bar(figure, shown, axes[1:], "change of the mean (log1p CP10K)")
    return figure


def _draw_strengths(panel: Axes, doubles: pd.DataFrame) -> None:
    dots_of_groups(panel, doubles["real_strength"], doubles["predicted_strength"], doubles["group"], size=24)
    values = doubles[["real_strength", "predicted_strength"]].to_numpy()
    low, high = min(np.nanmin(values, initial=1.0), 0.9), max(np.nanmax(values, initial=1.0), 1.1)
    panel.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle="--", label="predicted = real")
    panel.axhline(1, color=INK, linewidth=0.5)
    panel.axvline(1, color=INK, linewidth=0.5)
    name_axes(
        panel,
        "real strength (1 = the sum of the singles)",
        "predicted strength (1 = the sum)",
        f"{len(doubles)} doubles",
    )
    panel.legend(frameon=False, fontsize=8)


def _draw_genes(panel: Axes, part: pd.DataFrame, scale: Normalize) -> AxesImage:
    """Draw the genes that deviate most as rows, the three changes as columns."""
    deviating = (part["real"] - part["additive"]).abs().nlargest(GENES).index
    rows = part.loc[deviating].sort_values("real", ascending=False)
    image = panel.imshow(rows[list(SIDES)], cmap=UP_AND_DOWN, norm=scale, aspect="auto")
    panel.set_xticks(range(len(SIDES)), SIDES)
    panel.set_yticks(range(len(rows)), rows["gene"])
    panel.grid(visible=False)
    return image


PICTURE = Picture(
    name="interaction",
    title="Doubles: the sum of the singles, the prediction and the truth",
    reading="Left, a dot is a double: how strong it is as a multiple of the sum of its two singles, "
    "which are real; left of the vertical line effects buffer each other, right of it they reinforce. "
    "Who predicts the sum is on the horizontal line, who is right on the dashed one. Right, the doubles "
    "that deviate most from the sum, and their genes that do: where the middle column is like the right "
    "one and not like the left, the interaction was predicted. The two targets are left out.",
    numbers=numbers,
    draw=draw,
)
