"""How alike genes are in what is known of them before they are perturbed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from methods._pseudobulk import Changes

if TYPE_CHECKING:
    from anndata import AnnData


def coexpression(control: AnnData, asked: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """Pearson correlation over control cells.

    Parameters
    ----------
    control
        Control cells, log1p CP10K.
    asked, known
        Genes.

    Returns
    -------
    numpy.ndarray
        (asked, known); zero for a gene that is not measured or does not vary.
    """
    cells = csr_matrix(control.X, dtype=np.float64)
    mean = np.asarray(cells.mean(axis=0)).ravel()
    column = {gene: index for index, gene in enumerate(control.var_names)}
    (rows, these), (columns, those) = _places(asked, column), _places(known, column)
    products = (cells[:, these].T @ cells[:, those]).toarray() / cells.shape[0]
    covariance = products - np.outer(mean[these], mean[those])
    deviation = np.sqrt(np.maximum(np.asarray(cells.power(2).mean(axis=0)).ravel() - mean**2, 0))
    found = np.zeros((len(asked), len(known)))
    found[np.ix_(rows, columns)] = _ratio(covariance, np.outer(deviation[these], deviation[those]))
    return found


def responses(
    changes: Changes, measured: Sequence[str], asked: Sequence[str], known: Sequence[str]
) -> np.ndarray:
    """Pearson correlation of how two genes respond, over perturbations of other genes than the asked one.

    Without its own perturbations a gene that was perturbed is described as one that was not.

    Returns
    -------
    numpy.ndarray
        (asked, known); zero for a gene that is not measured or does not respond.
    """
    column = {gene: index for index, gene in enumerate(measured)}
    (rows, these), (columns, those) = _places(asked, column), _places(known, column)
    perturbed = set(changes.genes)
    others = [number for number, row in enumerate(rows) if asked[row] not in perturbed]
    found = np.zeros((len(asked), len(known)))
    groups = [(list(range(len(changes.perturbations))), others)]
    for number in sorted(set(range(len(rows))) - set(others)):
        gene = asked[rows[number]]
        groups.append(([i for i, p in enumerate(changes.perturbations) if gene not in p.genes], [number]))
    for kept, numbers in groups:
        if len(kept) > 2 and numbers:
            genes = [these[number] for number in numbers]
            values = changes.values[kept]
            found[np.ix_([rows[number] for number in numbers], columns)] = _correlation(
                values[:, genes], values[:, those]
            )
    return found


def shared_terms(
    sets: Mapping[str, Collection[str]], asked: Sequence[str], known: Sequence[str]
) -> np.ndarray:
    """Jaccard's index of the gene sets that two genes are in, as in GEARS (Roohani et al. 2023).

    Returns
    -------
    numpy.ndarray
        (asked, known); zero for a gene that is in no set.
    """
    terms = list(sets.values())
    first, second = _memberships(terms, asked), _memberships(terms, known)
    shared = (first @ second.T).toarray()
    sizes = np.asarray(first.sum(axis=1)).ravel()[:, None] + np.asarray(second.sum(axis=1)).ravel()
    return _ratio(shared, sizes - shared)


def neighbours(similarity: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar known genes of each asked one; of equal ones the first.

    Returns
    -------
    tuple of numpy.ndarray
        Columns of the neighbours, (asked, k), and their weights, positive similarities that sum to one; all
        zero where no gene is similar.
    """
    columns = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    weights = np.maximum(np.take_along_axis(similarity, columns, axis=1), 0)
    return columns, _ratio(weights, weights.sum(axis=1, keepdims=True))


def _places(genes: Sequence[str], column: Mapping[str, int]) -> tuple[list[int], list[int]]:
    """Positions of the measured ones among some genes, and their columns."""
    rows = [row for row, gene in enumerate(genes) if gene in column]
    return rows, [column[genes[row]] for row in rows]


def _memberships(terms: Sequence[Collection[str]], genes: Sequence[str]) -> csr_matrix:
    row = {gene: index for index, gene in enumerate(genes)}
    places = [(row[gene], term) for term, members in enumerate(terms) for gene in members if gene in row]
    rows, columns = np.array(places, dtype=np.int64).reshape(-1, 2).T
    return csr_matrix((np.ones(len(rows)), (rows, columns)), (len(genes), len(terms)))


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation of columns: (rows, a) and (rows, b) -> (a, b)."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    norms = np.outer(np.linalg.norm(first, axis=0), np.linalg.norm(second, axis=0))
    return _ratio(first.T @ second, norms)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divide, with zero where nothing can be divided by."""
    return np.divide(
        above, below, out=np.zeros(np.broadcast_shapes(above.shape, below.shape)), where=below > 0
    )
