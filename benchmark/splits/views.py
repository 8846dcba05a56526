"""What each side of a run may see: a method its training cells, the runner alone the test cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

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
        Control cells and the cells of the training perturbations.
    AnnData
        The cells of the validation perturbations.
    """
    return _cells(dataset, {CONTROL, *split.train}), _cells(dataset, split.validation)


def control_cells(dataset: Dataset) -> AnnData:
    """Return a copy of all control cells, with their label alone."""
    control = dataset.adata[dataset.adata.obs["perturbation"] == CONTROL].copy()
    control.obs = control.obs[["perturbation"]]
    return control


def held_out_cells(dataset: Dataset, split: Split) -> Mapping[str, csr_matrix]:
    """Return expression of each test perturbation, (cells, genes) log1p CP10K; for the runner only."""
    return cells_by_label(dataset, split.test)


def cells_by_label(dataset: Dataset, labels: Collection[str]) -> Mapping[str, csr_matrix]:
    """Return expression of some perturbations, (cells, genes) log1p CP10K; copied when asked for."""
    rows = rows_by_label(dataset.adata.obs["perturbation"].to_numpy())
    return LazyCells(labels, lambda label: dataset.adata.X[rows[label]])


def _cells(dataset: Dataset, labels: Collection[str]) -> AnnData:
    """Copy the cells of some perturbations: their canonical label, and the gene sets that suit them."""
    from benchmark.data.on_disk import take

    cells = take(dataset.adata, dataset.adata.obs["perturbation"].isin(list(labels)).to_numpy())
    cells.obs = cells.obs[["perturbation"]].copy()
    cells.uns["gene_sets"] = dataset.card.gene_sets
    return cells
