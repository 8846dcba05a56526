"""The co-expression graph of training cells."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from methods._flow.cells import blocks, mean_of_genes


def correlation(cells: sparse.csr_matrix, *, log_again: bool = False) -> np.ndarray:
    """Pearson correlation of genes over cells, float64 (genes, genes); 0 for a gene that is constant.

    Parameters
    ----------
    cells
        (cells, genes), log1p CP10K.
    log_again
        Take log1p once more before, as scDFM was published.
    """
    n_cells, n_genes = cells.shape
    transform = np.log1p if log_again else np.asarray
    products = np.zeros((n_genes, n_genes))
    for block in blocks(cells):
        block.data = transform(block.data)
        dense = block.toarray()
        products += dense.T @ dense
    mean = mean_of_genes(cells, transform)
    covariance = products / n_cells - np.outer(mean, mean)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
    scale = np.where(deviation > 1e-6, deviation, np.inf)
    return covariance / np.outer(scale, scale)


def neighbours(correlations: np.ndarray, k: int) -> np.ndarray:
    """Who is among whose `k` neighbours of largest |correlation|, symmetric, each gene its own neighbour.

    Parameters
    ----------
    correlations
        (genes, genes).
    k
        Neighbours per gene before the graph is made symmetric; a constant gene has none.

    Returns
    -------
    numpy.ndarray
        Boolean, (genes, genes).
    """
    strength = np.abs(correlations)
    np.fill_diagonal(strength, 0)
    k = min(k, len(strength) - 1)
    graph = np.eye(len(strength), dtype=bool)
    if k > 0:
        nearest = np.argpartition(-strength, k - 1, axis=1)[:, :k]
        np.put_along_axis(graph, nearest, np.take_along_axis(strength, nearest, 1) > 0, axis=1)
        np.fill_diagonal(graph, True)
    return graph | graph.T


def token_mask(graph: np.ndarray, n_tokens: int) -> Tensor:
    """Extend a graph of the panel's genes to all tokens: the others have themselves alone."""
    mask = torch.eye(n_tokens, dtype=torch.bool)
    mask[: len(graph), : len(graph)] |= torch.from_numpy(graph)
    return mask
