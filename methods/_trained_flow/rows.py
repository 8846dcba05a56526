"""Which training cells are of which perturbation, which are control cells, and of which context."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from anndata import AnnData
from scipy import sparse

from benchmark.contexts import CONTEXT, labels_in_view, values_in_view
from benchmark.perturbation import CONTROL


def perturbed_rows(train: AnnData) -> dict[str, np.ndarray]:
    """Rows of the cells of each condition, or perturbation where there are no contexts, without controls."""
    labels = labels_in_view(train.obs).astype(str)
    return {str(label): np.flatnonzero(labels == label) for label in np.unique(labels) if label != CONTROL}


def control_rows(train: AnnData) -> np.ndarray:
    """Rows of the control cells."""
    return np.flatnonzero(train.obs["perturbation"].astype(str).to_numpy() == CONTROL)


def rows_by_context(train: AnnData) -> dict[str, np.ndarray]:
    """Rows of the cells of each context, in alphabetical order."""
    contexts = values_in_view(train.obs, CONTEXT).astype(str)
    return {str(context): np.flatnonzero(contexts == context) for context in np.unique(contexts)}


def controls_by_context(train: AnnData) -> dict[str, np.ndarray]:
    """Rows of the control cells of each context."""
    control = control_rows(train)
    return {context: control[np.isin(control, rows)] for context, rows in rows_by_context(train).items()}


def mean_within_contexts(
    train: AnnData, cells: sparse.csr_matrix, measure: Callable[[sparse.csr_matrix], np.ndarray]
) -> np.ndarray:
    """Measure the cells of each context by themselves and take the mean, so that it is not how they differ.

    Parameters
    ----------
    train
        Says of which context cells are.
    cells
        The same cells, (cells, genes).
    measure
        Such as a correlation of genes.
    """
    parts = rows_by_context(train)
    if len(parts) == 1:
        return measure(cells)
    return np.mean([measure(cells[rows]) for rows in parts.values()], axis=0)
