"""Draw what goes wrong where a file is read as it should not be, from simulated cells.

python perf/wrong_readings.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmark.data.simulator import SimulatorConfig, simulate

TARGET = Path(__file__).parents[1] / "docs" / "images" / "wrong_readings.png"
SCALES = {"log2": (1e4, np.log(2)), "log1p of CPM": (1e6, 1.0), "log1p of counts per 1,000": (1e3, 1.0)}


def logs(counts: np.ndarray, target: float = 1e4, base: float = 1.0) -> np.ndarray:
    """Log of counts at a sum per cell, (cells, genes)."""
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * target) / base


def scales(ax: plt.Axes, counts: np.ndarray) -> None:
    """The mean of each gene on other scales, against the right one."""
    right = logs(counts).mean(axis=0)
    for name, how in SCALES.items():
        ax.scatter(right, logs(counts, *how).mean(axis=0), s=6, label=name)
    ax.axline((0, 0), slope=1, color="0.4", lw=0.8)
    ax.set(
        title="Another scale", xlabel="mean, log1p of counts per 10,000", ylabel="mean as it is in the file"
    )
    ax.legend(frameon=False, fontsize=7)


def lines(ax: plt.Axes, counts: np.ndarray, rng: np.random.Generator) -> None:
    """Control cells of two lines, and the mean that changes would be measured from."""
    share = counts / counts.sum(axis=1, keepdims=True) * np.exp(rng.normal(0, 0.7, counts.shape[1]))
    other = np.array([rng.multinomial(1000, row / row.sum()) for row in share])
    cells = np.vstack([logs(counts), logs(other)])
    centred = cells - cells.mean(axis=0)
    places = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    for name, part in (("line A", places[: len(counts)]), ("line B", places[len(counts) :])):
        ax.scatter(*part.T, s=6, label=name)
    ax.scatter(*places.mean(axis=0), marker="x", color="black", label="pooled mean")
    ax.set(title="Two cell lines, pooled controls", xlabel="component 1", ylabel="component 2")
    ax.legend(frameon=False, fontsize=7)


def guides(ax: plt.Axes, counts: np.ndarray, labels: np.ndarray) -> None:
    """How alike a held-out half of a gene's cells is to the nearest perturbation that is learned from."""
    cells, control = logs(counts), logs(counts[labels == "control"]).mean(axis=0)
    genes = [label for label in dict.fromkeys(labels) if label != "control" and "+" not in label]
    changes = {
        (gene, half): cells[np.flatnonzero(labels == gene)[half::2]].mean(axis=0) - control
        for gene in genes
        for half in (0, 1)
    }

    def nearest(gene: str, others: list[tuple[str, int]]) -> float:
        return max(np.corrcoef(changes[gene, 0], changes[other])[0, 1] for other in others)

    sister = [nearest(gene, [key for key in changes if key != (gene, 0)]) for gene in genes]
    apart = [nearest(gene, [key for key in changes if key[0] != gene]) for gene in genes]
    ax.boxplot([sister, apart], tick_labels=["labels of guides", "labels of genes"])
    ax.set(title="Nearest training perturbation", ylabel="correlation of changes")


def main() -> None:
    """Simulate, draw and write."""
    rng = np.random.default_rng(0)
    screen, _ = simulate(SimulatorConfig(n_genes=200, n_singles=30, n_doubles=2, n_controls=300))
    counts, labels = screen.X.toarray().astype(float), screen.obs["perturbation"].astype(str).to_numpy()
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    control = counts[labels == "control"]
    scales(axes[0], control)
    lines(axes[1], control, rng)
    guides(axes[2], counts, labels)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(TARGET, dpi=110)


if __name__ == "__main__":
    main()
