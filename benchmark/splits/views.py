"""What each side of a run may see: a method its training cells, the runner alone the test cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data import Dataset
from benchmark.data.blocks import LazyCells, rows_by_label
from benchmark.perturbation import CONTROL
from benchmark.splits import Split

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix


def training_views(dataset: Dataset, split: Split) -> tuple[AnnData, AnnData]:
    """Return copies of the cells that a method may learn from.

    Returns
    -------
    AnnData
        The control cells that methods are given, and the cells of the training perturbations.
    AnnData
        The cells of the validation perturbations.
    """
    labels = dataset.adata.obs["perturbation"]
    train = given_controls(dataset, split) | labels.isin(split.train).to_numpy()
    return _cells(dataset, train), _cells(dataset, labels.isin(split.validation).to_numpy())


def given_controls(dataset: Dataset, split: Split) -> np.ndarray:
    """Whether a cell is a control cell that methods are given: bool, (cells,)."""
    return _controls(dataset, split, given=True)


def scored_controls(dataset: Dataset, split: Split) -> np.ndarray:
    """Whether a cell is a control cell that real changes are measured against: bool, (cells,)."""
    return _controls(dataset, split, given=False)


def _controls(dataset: Dataset, split: Split, given: bool) -> np.ndarray:
    chosen = (dataset.adata.obs["perturbation"] == CONTROL).to_numpy()
    if split.controls is not None:
        chosen[chosen] = split.controls.mask if given else ~split.controls.mask
    return chosen


def control_cells(dataset: Dataset, split: Split) -> AnnData:
    """Return a copy of the control cells that methods are given, with their label alone."""
    from benchmark.data.on_disk import take

    control = take(dataset.adata, given_controls(dataset, split))
    control.obs = control.obs[["perturbation"]]
    return control


def held_out_cells(dataset: Dataset, split: Split) -> Mapping[str, csr_matrix]:
    """Return expression of each test perturbation, (cells, genes) log1p CP10K; for the runner only."""
    return cells_by_label(dataset, split.test)


def cells_by_label(
    dataset: Dataset, labels: Collection[str], layer: str | None = None
) -> Mapping[str, csr_matrix]:
    """Return expression of some perturbations, (cells, genes) log1p CP10K, or a layer; copied on demand."""
    rows = rows_by_label(dataset.adata.obs["perturbation"].to_numpy())
    matrix = dataset.adata.X if layer is None else dataset.adata.layers[layer]
    return LazyCells(labels, lambda label: matrix[rows[label]])


def _cells(dataset: Dataset, rows: np.ndarray) -> AnnData:
    """Copy some cells: their canonical label, and the gene sets that suit them."""
    from benchmark.data.on_disk import take

    cells = take(dataset.adata, rows)
    cells.obs = cells.obs[["perturbation"]].copy()
    cells.uns["gene_sets"] = dataset.card.gene_sets
    return cells
