"""The change of the regulatory network that the first stage generated, as a small graph."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from benchmark.perturbation import Perturbation
from benchmark.report.looks import INK, MUTED, PREDICTED, REAL, name_axes, panels
from benchmark.report.picture import LeftOutError, Picture, traces
from benchmark.report.subject import Subject

EDGES = 14
"""Largest changes that are drawn of each perturbation."""


def numbers(subject: Subject) -> pd.DataFrame:
    """One row per perturbation and edge: which gene reads which, and by how much that changes."""
    networks = {label: trace.network for label, trace in traces(subject).items()}
    tables = [
        largest_edges(network, subject.genes).assign(perturbation=label)
        for label, network in networks.items()
        if network is not None
    ]
    if not tables:
        raise LeftOutError(
            "The latent of this method says how much a gene's row changes, not towards which genes."
        )
    return pd.concat(tables, ignore_index=True)


def largest_edges(network: np.ndarray, genes: list[str]) -> pd.DataFrame:
    """Edges of largest |change|, the largest first, from (genes, genes) with rows that read; no loops."""
    size = np.abs(network).astype(float)
    np.fill_diagonal(size, -1)
    order = np.argsort(-size, axis=None, kind="stable")[: min(EDGES, size.size - len(genes))]
    rows, columns = np.unravel_index(order, size.shape)
    return pd.DataFrame(
        {
            "reads": [genes[row] for row in rows],
            "is_read": [genes[column] for column in columns],
            "change": network[rows, columns].astype(float),
        }
    )


def draw(table: pd.DataFrame) -> Figure:
    """One panel per perturbation, genes on a circle."""
    parts = list(table.groupby("perturbation", sort=False))
    figure, axes = panels(len(parts), width=4.6, height=4.4)
    for panel, (label, part) in zip(axes, parts, strict=True):
        _draw_graph(panel, str(label), part)
    return figure


def _draw_graph(panel: Axes, label: str, part: pd.DataFrame) -> None:
    genes = list(dict.fromkeys([*part["is_read"], *part["reads"]]))
    angles = np.linspace(0, 2 * np.pi, len(genes), endpoint=False)
    places = dict(zip(genes, np.stack([np.cos(angles), np.sin(angles)], axis=1), strict=True))
    largest = part["change"].abs().max() or 1.0
    for edge in part.itertuples():
        more = edge.change > 0
        panel.add_patch(
            FancyArrowPatch(
                places[edge.is_read],
                places[edge.reads],
                arrowstyle="-|>",
                mutation_scale=9,
                shrinkA=9,
                shrinkB=9,
                connectionstyle="arc3,rad=0.15",
                color=PREDICTED if more else REAL,
                linestyle="-" if more else "--",
                linewidth=0.5 + 2.5 * abs(edge.change) / largest,
            )
        )
    perturbed = set(Perturbation.parse(label).genes)
    for gene, (x, y) in places.items():
        ring, width, weight = (INK, 2.2, "bold") if gene in perturbed else (MUTED, 0.8, "normal")
        panel.plot(x, y, "o", markersize=11, color="white", markeredgecolor=ring, markeredgewidth=width)
        at = (1.17 * x, 1.17 * y)
        panel.annotate(gene, at, ha="center", va="center", fontsize=8, color=INK, fontweight=weight)
    panel.set_xlim(-1.45, 1.45)
    panel.set_ylim(-1.35, 1.35)
    panel.set_aspect("equal")
    panel.axis("off")
    name_axes(panel, "", "", f"{label}: largest |change of attention| {largest:.2g}")


PICTURE = Picture(
    name="network",
    title="The change of the network that was generated",
    reading=f"The {EDGES} largest changes of attention that the mean latent of the first stage stands "
    "for. An arrow goes from a gene that is read to the gene that reads it: orange, solid, where it is "
    "read more than in control cells, blue, dashed, where less; perturbed genes are in bold. The latent "
    "has fewer dimensions than the network, so this is the smallest change that gives this latent. It "
    "is what the method believes, not a measured network.",
    numbers=numbers,
    draw=draw,
)
