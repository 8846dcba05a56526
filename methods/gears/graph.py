"""The graph of perturbable genes that GEARS spreads what it learns over: genes alike in their terms."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from scipy.sparse import csr_matrix

THRESHOLD = 0.1
"""Genes less alike than this are no neighbours (Roohani et al. 2023, Methods; `gears.utils`)."""

BLOCK = 512
"""Genes that are compared with all others at once; bounds the memory, changes no number."""


def annotations(gene_sets: Mapping[str, Collection[str]], genes: Sequence[str]) -> csr_matrix:
    """Say which gene has which term.

    Parameters
    ----------
    gene_sets
        Term -> its genes.
    genes
        The rows of the table; each has a term.

    Returns
    -------
    csr_matrix
        int64, (genes, terms): 1 where the gene has the term.
    """
    row = {gene: index for index, gene in enumerate(genes)}
    members = [sorted(row[gene] for gene in term if gene in row) for term in gene_sets.values()]
    columns = np.repeat(np.arange(len(members)), [len(rows) for rows in members])
    rows = np.concatenate([np.array(rows, dtype=np.int64) for rows in members])
    return csr_matrix((np.ones(len(rows), dtype=np.int64), (rows, columns)), (len(genes), len(members)))


def similarity_graph(has_term: csr_matrix, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """Connect each gene with itself and the genes that share most of its terms.

    Similarity is Jaccard's index of the two genes' terms, |A and B| / |A or B|. Each gene is the target
    of at most ``neighbours + 1`` edges, those of largest similarity above `THRESHOLD`; of equal ones the
    gene that comes first is taken. The edge of a gene to itself, of similarity 1, is among them.

    Parameters
    ----------
    has_term
        int, (genes, terms); see `annotations`.
    neighbours
        Edges per gene beside its own.

    Returns
    -------
    edges
        int64, (2, edges): source and target.
    weights
        float64, (edges,): their similarity.
    """
    sizes = np.asarray(has_term.sum(axis=1)).ravel()
    sources: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for start in range(0, has_term.shape[0], BLOCK):
        shared = (has_term[start : start + BLOCK] @ has_term.T).toarray()
        together = sizes[start : start + BLOCK, None] + sizes - shared
        for similarity in shared / together:
            near = np.flatnonzero(similarity > THRESHOLD)
            near = near[np.argsort(-similarity[near], kind="stable")][: neighbours + 1]
            sources.append(near)
            weights.append(similarity[near])
    targets = np.repeat(np.arange(len(sources)), [len(near) for near in sources])
    return np.stack([np.concatenate(sources), targets]), np.concatenate(weights)
