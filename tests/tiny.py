"""A tiny screen as a file, for tests that run the whole line."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.simulator import SimulatorConfig, simulate
from benchmark.runs.request import Request

PATH_OPTIONS = [
    "--perturbation-column",
    "perturbation",
    "--control-label",
    "control",
    "--expression",
    "counts",
]
COLUMNS = {"perturbation_column": "perturbation", "control_label": "control", "expression": "counts"}


def write_screen(path: Path, seed: int = 0) -> Path:
    """Write raw counts of 40 genes, 8 singles and 10 doubles."""
    cells, _ = simulate(
        SimulatorConfig(
            seed=seed, n_genes=40, n_singles=8, n_doubles=10, cells_per_perturbation=12, n_controls=40
        )
    )
    cells.write_h5ad(path)
    return path


def request(screen: Path, method: str = "additive", cells: int = 20, **options: object) -> Request:
    """Ask for a run of a method on such a screen."""
    return Request(method=method, dataset=str(screen), columns=COLUMNS, cells=cells, **options)


def write_methods(folder: Path, source: str) -> Path:
    """Write methods of a test's own into a file of a folder."""
    path = folder / "own.py"
    path.write_text(source)
    return path
