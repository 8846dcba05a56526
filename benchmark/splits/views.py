"""What each side of a run may see: a method its training cells, the runner alone the test cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contexts import COLUMNS, CONTEXT, labels_of, values_of
from benchmark.data import Dataset
from benchmark.data.blocks import LazyCells, rows_by_label
from benchmark.perturbation import CONTROL
from benchmark.splits import Split

if TYPE_CHECKING:
    import pandas as pd
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
    labels = labels_of(dataset.adata.obs)
    train = given_controls(dataset, split) | np.isin(labels, split.train)
    return _cells(dataset, train), _cells(dataset, np.isin(labels, split.validation))


def given_controls(dataset: Dataset, split: Split) -> np.ndarray:
    """Whether a cell is a control cell that methods are given: bool, (cells,)."""
    return _controls(dataset, split, given=True)


def matched_controls(dataset: Dataset, split: Split) -> np.ndarray:
    """Whether a cell is one of those that is of a context that is tested: bool, (cells,)."""
    return given_controls(dataset, split) & _is_tested(dataset, split)


def scored_controls(dataset: Dataset, split: Split) -> np.ndarray:
    """Whether a cell is a control cell that real changes are measured against: bool, (cells,).

    They are those of the contexts that are tested.
    """
    return _controls(dataset, split, given=False) & _is_tested(dataset, split)


def _is_tested(dataset: Dataset, split: Split) -> np.ndarray:
    return np.isin(values_of(dataset.adata.obs, CONTEXT), split.contexts)


def _controls(dataset: Dataset, split: Split, given: bool) -> np.ndarray:
    chosen = (dataset.adata.obs["perturbation"] == CONTROL).to_numpy()
    if split.controls is not None:
        chosen[chosen] = split.controls.mask if given else ~split.controls.mask
    return chosen


def control_cells(dataset: Dataset, split: Split) -> AnnData:
    """Return a copy of the control cells that methods are given of the contexts that are tested."""
    from benchmark.data.on_disk import take

    rows = matched_controls(dataset, split)
    control = take(dataset.adata, rows)
    control.obs = _promised(dataset, rows)
    return control


def held_out_cells(dataset: Dataset, split: Split) -> Mapping[str, csr_matrix]:
    """Return expression of each test perturbation, (cells, genes) log1p CP10K; for the runner only."""
    return cells_by_label(dataset, split.test)


def cells_by_label(
    dataset: Dataset, labels: Collection[str], layer: str | None = None
) -> Mapping[str, csr_matrix]:
    """Return expression of some perturbations, (cells, genes) log1p CP10K, or a layer; copied on demand."""
    rows = rows_by_label(labels_of(dataset.adata.obs))
    matrix = dataset.adata.X if layer is None else dataset.adata.layers[layer]
    return LazyCells(labels, lambda label: matrix[rows[label]])


def _cells(dataset: Dataset, rows: np.ndarray) -> AnnData:
    """Copy some cells: label, context and batch, and the gene sets that suit them."""
    from benchmark.data.on_disk import take

    cells = take(dataset.adata, rows)
    cells.obs = _promised(dataset, rows)
    cells.uns["gene_sets"] = dataset.card.gene_sets
    return cells


def _promised(dataset: Dataset, rows: np.ndarray) -> pd.DataFrame:
    """What methods are told of some cells: the canonical label, and in which context and batch they are."""
    obs = dataset.adata.obs
    return obs.loc[rows, ["perturbation"]].assign(**{name: values_of(obs, name)[rows] for name in COLUMNS})
