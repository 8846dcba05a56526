"""The two stages of a cascade: the change of the network first, then expression."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from benchmark.report.gallery.embedding import fit_plane, some_cells
from benchmark.report.looks import CONTROL, INK, PREDICTED, REAL, THIRD, fit_axes, key, name_axes, panels
from benchmark.report.picture import Picture, traces
from benchmark.report.refit import STEPS
from benchmark.report.subject import Subject

STAGES = {"network": THIRD, "expression": PREDICTED}
"""In their order, and the colour of their paths."""
COLUMNS = ["perturbation", "stage", "kind", "cell", "time", "x", "y", "first_axis", "second_axis"]


def numbers(subject: Subject) -> pd.DataFrame:
    """One row per point of a path, and per control and real cell in the plane of expression.

    Latents are drawn in the plane of the first two principal components of all finished ones, expression in
    that of control and real cells, as in the picture of cells.
    """
    found = traces(subject)
    ends = np.concatenate([trace.latent[-1].reshape(len(trace.latent[-1]), -1) for trace in found.values()])
    of_latents = PCA(2, svd_solver="full").fit(ends)
    latent_axes = [
        f"network change, component {index + 1} ({share:.0%})"
        for index, share in enumerate(of_latents.explained_variance_ratio_)
    ]
    control = some_cells(subject.control)
    real = {label: some_cells(subject.real[label]) for label in found}
    of_cells, cell_axes = fit_plane(control, list(real.values()))
    tables = []
    for label, trace in found.items():
        paths = _paths(trace.latent.reshape(*trace.latent.shape[:2], -1), of_latents)
        tables.append(
            paths.assign(
                perturbation=label, stage="network", first_axis=latent_axes[0], second_axis=latent_axes[1]
            )
        )
        parts = [_paths(trace.expression, of_cells)]
        parts += [
            _cells(kind, of_cells.transform(cells))
            for kind, cells in (("control", control), ("real", real[label]))
        ]
        expression = pd.concat(parts, ignore_index=True)
        tables.append(
            expression.assign(
                perturbation=label, stage="expression", first_axis=cell_axes[0], second_axis=cell_axes[1]
            )
        )
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _paths(states: np.ndarray, plane: PCA) -> pd.DataFrame:
    """Points of paths, from (points, cells, values), in a plane."""
    points, cells = states.shape[:2]
    places = plane.transform(states.reshape(points * cells, -1))
    return pd.DataFrame(
        {
            "kind": "path",
            "cell": np.tile(np.arange(cells), points),
            "time": np.repeat(np.linspace(0, 1, points), cells),
            "x": places[:, 0],
            "y": places[:, 1],
        }
    )


def _cells(kind: str, places: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"kind": kind, "cell": np.arange(len(places)), "time": np.nan, "x": places[:, 0], "y": places[:, 1]}
    )


def draw(table: pd.DataFrame) -> Figure:
    """One row per perturbation: the first stage left, the second right."""
    labels = list(dict.fromkeys(table["perturbation"]))
    figure, axes = panels(2 * len(labels), height=3.4)
    for place, label in enumerate(labels):
        for number, (panel, stage) in enumerate(zip(axes[2 * place :], STAGES, strict=False), start=1):
            rows = table[(table["perturbation"] == label) & (table["stage"] == stage)]
            _draw_stage(panel, rows, STAGES[stage])
            x, y = rows.iloc[0][["first_axis", "second_axis"]]
            name_axes(panel, x, y, f"{label}, stage {number}: {stage}")
            whole = table[table["stage"] == stage]
            fit_axes(panel, whole["x"], whole["y"])
    key(figure, axes[1])
    return figure


def _draw_stage(panel: Axes, rows: pd.DataFrame, colour: str) -> None:
    for kind, shade in (("control", CONTROL), ("real", REAL)):
        cells = rows[rows["kind"] == kind]
        if len(cells):
            panel.scatter(
                cells["x"], cells["y"], s=6, color=shade, alpha=0.35, linewidths=0, label=f"{kind} cells"
            )
    paths = rows[rows["kind"] == "path"]
    for _, path in paths.groupby("cell"):
        panel.plot(path["x"], path["y"], color=colour, linewidth=0.7, alpha=0.6)
    first, last = (paths[paths["time"] == time] for time in (0, 1))
    panel.scatter(
        first["x"],
        first["y"],
        s=70,
        facecolor="none",
        edgecolor=INK,
        linewidths=0.8,
        zorder=3,
        label="noise, time 0",
    )
    panel.scatter(
        last["x"],
        last["y"],
        s=22,
        color=colour,
        edgecolor=INK,
        linewidths=0.5,
        zorder=3,
        label="generated, time 1",
    )


PICTURE = Picture(
    name="trajectory",
    title="The two stages of the cascade",
    reading="A line is the path of one predicted cell from noise (open) to what is generated (filled). "
    "Stage 1 generates the change of the regulatory network as a latent of each gene, with expression "
    "at rest; stage 2 expression, with that latent held. Latents are shown in the plane of their own "
    "first two principal components, expression in that of control and real cells, and before cells are "
    f"recentred and clamped. Paths are followed in at least {STEPS} steps, also where a prediction takes "
    "fewer.",
    numbers=numbers,
    draw=draw,
)
