"""Pairs of control and perturbed cells by optimal transport."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh, svds

from methods._flow.cells import slices

MANY_CELLS = 25_000
"""Of more cells, components come from the products of genes, in two passes; Lanczos' steps take hundreds."""
ROWS = 4096


def principal_components(
    cells: sparse.csr_matrix,
    components: int,
    rng: np.random.Generator,
    scaling: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of cells and loadings of genes on the first principal components, float64.

    The centred matrix is applied, never formed. Fewer components are returned where the data has fewer.

    Parameters
    ----------
    cells
        (cells, genes).
    components
        How many.
    rng
        Of the vector that the search starts from.
    scaling
        What each gene is multiplied with, (genes,).

    Returns
    -------
    tuple of numpy.ndarray
        Scores (cells, components) and loadings (genes, components), which have unit length.
    """
    n_cells, n_genes = cells.shape
    components = min(components, n_cells - 1, n_genes - 1)
    if components < 1:
        return np.asarray(cells.toarray(), dtype=np.float64), np.eye(n_genes)
    if n_cells > max(MANY_CELLS, n_genes):
        return _of_many_cells(cells, components, rng, np.ones(n_genes) if scaling is None else scaling)
    matrix = cells.astype(np.float64)
    if scaling is not None:
        matrix = sparse.csr_matrix(matrix @ sparse.diags_array(scaling))
    mean = np.asarray(matrix.mean(axis=0)).ravel()
    centred = LinearOperator(
        matrix.shape,
        matvec=lambda v: matrix @ np.ravel(v) - mean @ np.ravel(v),
        rmatvec=lambda u: matrix.T @ np.ravel(u) - mean * np.ravel(u).sum(),
        dtype=np.float64,
    )
    left, values, right = svds(centred, k=components, v0=rng.standard_normal(min(matrix.shape)))
    return left * values, right.T


def _of_many_cells(
    cells: sparse.csr_matrix, components: int, rng: np.random.Generator, scaling: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same by way of the (genes, genes) products; no more than `ROWS` cells are dense at a time."""
    n_cells, n_genes = cells.shape
    mean = np.asarray(cells.mean(axis=0, dtype=np.float64)).ravel() * scaling

    def blocks() -> Iterator[np.ndarray]:
        for part in slices(n_cells, ROWS):
            yield (cells[part].toarray() * scaling - mean).astype(np.float32)

    products = np.zeros((n_genes, n_genes))
    for block in blocks():
        products += block.T @ block
    _, vectors = eigsh(products, k=components, v0=rng.standard_normal(n_genes))
    return np.concatenate([block @ vectors for block in blocks()]), vectors


def transport_partners(control: np.ndarray, perturbed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each perturbed cell a control cell from the optimal transport plan between the two sets.

    Exact transport with uniform weights and squared Euclidean cost (POT's ``emd``); a perturbed cell that
    the plan joins to several controls takes one of them at random, by weight.

    Parameters
    ----------
    control, perturbed
        Cells as points, (cells, components).
    rng
        Draws among several partners.

    Returns
    -------
    numpy.ndarray
        Row of `control` for each row of `perturbed`.
    """
    import ot

    cost = np.square(perturbed).sum(1)[:, None] + np.square(control).sum(1) - 2 * perturbed @ control.T
    plan = ot.emd(ot.unif(len(perturbed)), ot.unif(len(control)), np.maximum(cost, 0.0), numItermax=1_000_000)
    cumulative = plan.cumsum(axis=1)
    drawn = rng.random(len(perturbed)) * cumulative[:, -1]
    return np.minimum((cumulative <= drawn[:, None]).sum(axis=1), len(control) - 1)


def random_partners(control: np.ndarray, perturbed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each perturbed cell any control cell; arguments and result as in `transport_partners`."""
    return rng.integers(len(control), size=len(perturbed))


def pair_cells(
    scores: np.ndarray,
    control: np.ndarray,
    groups: dict[str, np.ndarray],
    *,
    pairs_per_group: int,
    controls_per_group: int,
    pairing: Literal["transport", "random"] = "transport",
    rng: np.random.Generator,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pair the cells of every perturbation with control cells.

    Parameters
    ----------
    scores
        All cells as points, (cells, components).
    control
        Rows of the control cells.
    groups
        Rows of the cells of each perturbation.
    pairs_per_group, controls_per_group
        At most so many cells of each perturbation, and of the controls, are used; drawn at random.
    pairing
        Whether partners come from the optimal transport plan or are drawn at random.
    rng
        Draws them.

    Returns
    -------
    dict
        For each perturbation, rows of control cells and of perturbed cells, of equal length.
    """
    partners = {"transport": transport_partners, "random": random_partners}[pairing]
    pairs = {}
    for label, rows in groups.items():
        chosen = np.sort(rng.permutation(rows)[:pairs_per_group])
        candidates = np.sort(rng.permutation(control)[:controls_per_group])
        partner = partners(scores[candidates], scores[chosen], rng)
        pairs[label] = (candidates[partner], chosen)
    return pairs
