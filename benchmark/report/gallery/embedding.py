"""Control, real and predicted cells in the plane of their first two principal components."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.report.looks import CONTROL, PREDICTED, REAL, fit_axes, key, name_axes, panels
from benchmark.report.picture import LeftOutError, Picture, one_by_one
from benchmark.report.subject import Subject

MOST_CELLS = 256
"""Of each kind; others are left out, drawn with a fixed seed."""
KINDS = {"control": CONTROL, "predicted": PREDICTED, "real": REAL}
"""In the order in which they are drawn: there are often fewer real cells, which must not be hidden."""


def numbers(subject: Subject) -> pd.DataFrame:
    """One row per cell that is drawn: perturbation, kind, and both coordinates."""
    labels = one_by_one(subject)
    if subject.predicts == "mean":
        raise LeftOutError(
            "The method predicts means, not single cells: the spread of its cells says nothing."
        )
    control = some_cells(subject.control)
    sides = {
        label: (some_cells(subject.real[label]), some_cells(subject.predicted[label])) for label in labels
    }
    plane, axes = fit_plane(control, [real for real, _ in sides.values()])
    tables = [
        _of(label, kind, plane.transform(cells))
        for label, (real, predicted) in sides.items()
        for kind, cells in (("control", control), ("real", real), ("predicted", predicted))
    ]
    return pd.concat(tables, ignore_index=True).assign(first_axis=axes[0], second_axis=axes[1])


def some_cells(cells: Matrix) -> np.ndarray:
    """At most `MOST_CELLS` of the cells, dense, float64; which ones is a draw with a fixed seed."""
    rows = np.random.default_rng(0).permutation(cells.shape[0])[:MOST_CELLS]
    part = cells[np.sort(rows)]
    return np.asarray(part if isinstance(part, np.ndarray) else part.toarray(), dtype=float)


def fit_plane(control: np.ndarray, real: list[np.ndarray]) -> tuple[PCA, tuple[str, str]]:
    """Fit two principal components to control and real cells, so that predictions have no say in the plane.

    Returns
    -------
    PCA
        The sign of each component is fixed: its largest loading is positive.
    tuple
        Names of both axes, with their share of the variance.
    """
    plane = PCA(2, svd_solver="full").fit(np.concatenate([control, *real]))
    names = tuple(
        f"principal component {index + 1} ({share:.0%} of the variance)"
        for index, share in enumerate(plane.explained_variance_ratio_)
    )
    return plane, (names[0], names[1])


def _of(label: str, kind: str, points: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"perturbation": label, "kind": kind, "x": points[:, 0], "y": points[:, 1]})


def draw(table: pd.DataFrame) -> Figure:
    """One panel per perturbation, all in one plane; crosses are the means."""
    parts = list(table.groupby("perturbation", sort=False))
    figure, axes = panels(len(parts))
    x, y = table.iloc[0][["first_axis", "second_axis"]]
    for panel, (label, part) in zip(axes, parts, strict=True):
        for kind, colour in KINDS.items():
            rows = part[part["kind"] == kind]
            panel.scatter(
                rows["x"], rows["y"], s=9, color=colour, alpha=0.55, linewidths=0, label=f"{kind} cells"
            )
        for kind, colour in KINDS.items():
            rows = part[part["kind"] == kind]
            panel.plot(
                rows["x"].mean(), rows["y"].mean(), "P", markersize=11, color=colour,
                markeredgecolor="black", label=f"mean, {kind}",
            )  # fmt: skip
        name_axes(panel, x, y, str(label))
        fit_axes(panel, table["x"], table["y"])
    key(figure, axes[0])
    return figure


PICTURE = Picture(
    name="embedding",
    title="Control, real and predicted cells",
    reading=f"At most {MOST_CELLS} cells of each kind. The plane is that of the first two principal "
    "components of control and real cells; predicted cells are put into it and had no say. Good predictions "
    "cover the real cells, with their spread; a cloud that is tighter is too sure.",
    numbers=numbers,
    draw=draw,
)
