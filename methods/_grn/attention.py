"""Attention maps over a gene panel, streamed in blocks of rows from queries and keys.

A map says, for one cell, how much each gene (row) reads from each other gene (column). The heads of a
layer are averaged. A tensor of cells x heads x genes x genes is never held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from methods._flow.cells import slices

Normalisation = Literal["softmax", "scores", "ranks"]


class AttentionSource(Protocol):
    """A frozen model that gives every cell a map of which genes read from which."""

    def gene_vectors(self) -> Tensor:
        """Embeddings of the panel's genes, (genes, width)."""

    def maps(self, cells: Tensor, block: int = 128) -> Iterator[tuple[slice, Tensor]]:
        """Stream the maps of some cells.

        Parameters
        ----------
        cells
            Expression of the panel, log1p of counts per 10,000, (cells, genes).
        block
            Query genes per block.

        Yields
        ------
        tuple
            The rows (query genes) of this block, and their maps (cells, rows, genes).
        """


@dataclass(frozen=True)
class QueriesKeys:
    """What one layer compares, in the order of the panel.

    Attributes
    ----------
    queries
        (cells, heads, genes, size).
    keys
        (cells, heads, genes + extra, size): those of the panel, then those of special tokens, which take
        their share of a softmax and are then left out.
    present
        Which keys a cell has, boolean (cells, genes + extra); None where it has all. A gene that is absent
        reads nothing and is read by none: its row and column are zero.
    """

    queries: Tensor
    keys: Tensor
    present: Tensor | None = None


def stream_maps(
    read: QueriesKeys, normalisation: Normalisation, block: int
) -> Iterator[tuple[slice, Tensor]]:
    """Form maps from queries and keys, a block of rows at a time, averaged over heads.

    Parameters
    ----------
    read
        Queries and keys of one layer.
    normalisation
        ``softmax``: as the layer itself weighs, softmax of q k' / sqrt(size), rows sum to one over all keys.
        ``scores``: q k' as it is. ``ranks``: rank of each score within its row, then of that within its
        column, each divided by the number of genes, as in scGPT's tutorial on regulatory networks; genes that
        are absent do not count. A whole map per cell is held, one head at a time.
    block
        Query genes per block.

    Yields
    ------
    tuple
        Rows of the block, and their maps (cells, rows, genes).
    """
    heads, genes = read.queries.shape[1:3]
    if normalisation == "ranks":
        ranked = torch.cat([_ranked_map(read, cell) for cell in range(len(read.queries))])
        for rows in slices(genes, block):
            yield rows, ranked[:, rows]
        return
    weigh = _softmax if normalisation == "softmax" else _plain
    for rows in slices(genes, block):
        maps = sum(weigh(read, head, rows) for head in range(heads))
        yield rows, maps / heads


def _softmax(read: QueriesKeys, head: int, rows: slice) -> Tensor:
    """Attention weights of some rows of one head, (cells, rows, genes)."""
    genes = read.queries.shape[2]
    size = read.queries.shape[-1]
    scores = (read.queries[:, head, rows] / size**0.5) @ read.keys[:, head].transpose(1, 2)
    scores = scores.float()
    if read.present is None:
        return scores.softmax(-1)[..., :genes]
    scores = scores.masked_fill(~read.present.unsqueeze(1), -torch.inf)
    weights = scores.softmax(-1)[..., :genes].nan_to_num(0.0)
    return weights * read.present[:, :genes][:, rows].unsqueeze(-1)


def _plain(read: QueriesKeys, head: int, rows: slice) -> Tensor:
    """Products of queries and keys of some rows of one head, zero where a gene is absent."""
    scores = _scores(read, head, rows)
    if read.present is None:
        return scores
    present = read.present[:, : scores.shape[-1]]
    return scores * present[:, rows].unsqueeze(-1) * present.unsqueeze(1)


def _scores(read: QueriesKeys, head: int, rows: slice) -> Tensor:
    genes = read.queries.shape[2]
    return (read.queries[:, head, rows] @ read.keys[:, head, :genes].transpose(1, 2)).float()


def _ranked_map(read: QueriesKeys, cell: int) -> Tensor:
    """Ranks of one cell averaged over heads, (1, genes, genes); cell by cell, since sorting takes memory."""
    one = slice(cell, cell + 1)
    present = None if read.present is None else read.present[one]
    alone = QueriesKeys(read.queries[one], read.keys[one], present)
    heads, genes = alone.queries.shape[1:3]
    there = None if present is None else present[:, :genes]
    return sum(_ranked(_scores(alone, head, slice(None)), there) for head in range(heads)) / heads


def _ranked(scores: Tensor, present: Tensor | None) -> Tensor:
    """Ranks within rows, then of those within columns, over the number of genes, (cells, genes, genes)."""
    genes = scores.shape[-1]
    if present is None:
        return _ranks(_ranks(scores, -1), -2).float() / genes
    absent = ~(present.unsqueeze(1) & present.unsqueeze(2))
    within = _ranks(scores.masked_fill(absent, -torch.inf), -1)
    # Absent genes take the lowest ranks, which are then left out.
    ranks = _ranks(within.masked_fill(absent, -1), -2)
    count = present.sum(1).view(-1, 1, 1)
    return ((ranks - (genes - count)) / count).masked_fill(absent, 0)


def _ranks(values: Tensor, dim: int) -> Tensor:
    """Rank of each entry along `dim`, from 0; equal ones in the order in which they stand."""
    return values.argsort(dim=dim, stable=True).argsort(dim)
