"""A regulatory network fitted to cells: each gene by ridge regression on a few regulators."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from methods._flow.cells import blocks

PENALTY = 0.1
"""Of the ridge, beside a variance of 1 of each regulator."""
KEPT = 10
"""Regulators of a gene, where none are known."""
FEWEST, MOST = 50, 300
"""Genes among which regulators are sought, where none are known."""


@dataclass(frozen=True)
class Products:
    """Sums over cells, from which correlations follow; those of some cells can be taken away.

    Attributes
    ----------
    count
        Cells.
    total
        Sum of each column, (columns,).
    matrix
        Sum of products, (columns, columns).
    """

    count: int
    total: np.ndarray
    matrix: np.ndarray

    def without(self, cells: sparse.csr_matrix) -> Products:
        """The same sums without some of the cells, (cells, columns)."""
        dense = cells.toarray().astype(np.float64)
        return Products(
            self.count - len(dense), self.total - dense.sum(axis=0), self.matrix - dense.T @ dense
        )

    def in_units(self) -> tuple[np.ndarray, np.ndarray]:
        """Correlations (columns, columns), 0 beside a constant, and one over deviations, 0 of a constant."""
        mean = self.total / max(1, self.count)
        covariance = self.matrix / max(1, self.count) - np.outer(mean, mean)
        variance = np.diag(covariance)
        varied = variance > 1e-9 * np.maximum(1.0, mean**2)  # differences of sums leave rounding behind
        inverse = np.where(varied, 1 / np.sqrt(np.where(varied, variance, 1.0)), 0.0)
        return covariance * np.outer(inverse, inverse), inverse


@dataclass(frozen=True, eq=False)
class NetworkFit:
    """Fits what regulators do to each gene.

    Attributes
    ----------
    cells
        All training cells, log1p CP10K, (cells, genes).
    regulators
        For each gene the positions of the genes that it may be regulated by.
    own
        Position of a perturbed gene -> rows of the cells in which it is perturbed. What it is in these is not
        its regulators' doing, so that they say nothing of its regulation.
    kept
        How many regulators of a gene are kept at most, those of largest weight; None for all.
    """

    cells: sparse.csr_matrix
    regulators: Sequence[np.ndarray]
    own: Mapping[int, np.ndarray]
    kept: int | None = None

    def weights(self) -> sparse.csr_array:
        """What a gene changes by when a regulator changes by 1, log1p CP10K: CSR (genes, genes)."""
        used = np.unique(np.concatenate(self.regulators))
        total, squares, products = _sums(self.cells, used)
        columns, values = [], []
        for gene, candidates in enumerate(self.regulators):
            here = np.append(candidates, gene)
            block = products[np.searchsorted(used, candidates)][:, here]
            matrix = np.vstack([block, np.append(block[:, -1], squares[gene])])
            sums = Products(self.cells.shape[0], total[here], matrix)
            if gene in self.own:
                sums = sums.without(self.cells[self.own[gene]][:, here])
            chosen, found = self._of_gene(*sums.in_units())
            columns.append(candidates[chosen])
            values.append(found)
        ends = np.cumsum([0, *map(len, columns)])
        size = len(self.regulators)
        return sparse.csr_array((np.concatenate(values), np.concatenate(columns), ends), shape=(size, size))

    def _of_gene(self, correlation: np.ndarray, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which candidates are chosen, and their weights; the last row and column are of the gene itself."""
        chosen = np.arange(len(correlation) - 1)
        found = _ridge(correlation, chosen)
        if self.kept is not None and len(chosen) > self.kept:
            chosen = np.sort(np.argsort(-np.abs(found), kind="stable")[: self.kept])
            found = _ridge(correlation, chosen)
        deviation = 1 / inverse[-1] if inverse[-1] else 0.0
        return chosen, found * inverse[chosen] * deviation


def sought(variance: np.ndarray, perturbed: Collection[int]) -> list[np.ndarray]:
    """Where no regulators are known, those that each gene may have, without itself.

    They are the perturbed genes: what follows from a gene shows where it alone was changed. Where fewer than
    `FEWEST` of them are measured, the most variable other genes come in addition.

    Parameters
    ----------
    variance
        Of each gene, (genes,).
    perturbed
        Positions of the perturbed genes that are measured.
    """
    is_perturbed = np.isin(np.arange(len(variance)), list(perturbed))
    order = np.lexsort((-variance, ~is_perturbed))
    chosen = np.sort(order[: min(MOST, max(FEWEST, is_perturbed.sum()))])
    return [chosen[chosen != gene] for gene in range(len(variance))]


def _ridge(correlation: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    among = correlation[np.ix_(chosen, chosen)] + PENALTY * np.eye(len(chosen))
    return np.linalg.solve(among, correlation[chosen, -1])


def _sums(cells: sparse.csr_matrix, used: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums (genes,) and sums of squares (genes,); sums of products of some genes and all, (used, genes)."""
    n_genes = cells.shape[1]
    total, squares, products = np.zeros(n_genes), np.zeros(n_genes), np.zeros((len(used), n_genes))
    for block in blocks(cells):
        dense = block.toarray()
        total += dense.sum(axis=0)
        squares += np.einsum("ij,ij->j", dense, dense)
        products += dense[:, used].T @ dense
    return total, squares, products
