"""What each side of a run may see: a method its training cells, the runner alone the test cells."""

from __future__ import annotations

from collections.abc import Collection

from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.data import Dataset
from benchmark.perturbation import CONTROL
from benchmark.splits import Split


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


def held_out_cells(dataset: Dataset, split: Split) -> dict[str, csr_matrix]:
    """Return expression of each test perturbation, (cells, genes) log1p CP10K; for the runner only."""
    labels = dataset.adata.obs["perturbation"].to_numpy()
    return {label: dataset.adata.X[labels == label] for label in split.test}


def _cells(dataset: Dataset, labels: Collection[str]) -> AnnData:
    """Copy the cells of some perturbations: their canonical label, and the gene sets that suit them."""
    cells = dataset.adata[dataset.adata.obs["perturbation"].isin(list(labels))].copy()
    cells.obs = cells.obs[["perturbation"]].copy()
    cells.uns["gene_sets"] = dataset.card.gene_sets
    return cells
