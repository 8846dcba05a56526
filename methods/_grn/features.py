"""Change of attention as a latent: sparse, projected on gene embeddings, standardised.

For a pair of a control and a perturbed cell, delta = attention(perturbed) - attention(control), a signed
genes x genes matrix. Row g says which genes g now reads more, or less. Of each row the entries of largest
|delta| are kept and multiplied with a basis of gene embeddings: the latent of gene g.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from methods._flow.cells import slices
from methods._grn.attention import AttentionSource

GENES_AT_FULL_K = 1000


def scaled_top_k(top_k: int, n_genes: int) -> int:
    """Entries kept per gene: `top_k` for panels of 1,000 genes and more, in proportion below, at least 1."""
    return max(1, min(top_k, round(top_k * n_genes / GENES_AT_FULL_K), n_genes))


def embedding_basis(embeddings: Tensor, dimensions: int) -> Tensor:
    """Principal component scores of gene embeddings (genes, width), as (genes, dimensions).

    At most min(genes, width) dimensions are returned. The sign of each is fixed, so that its largest entry
    is positive.
    """
    centred = (embeddings - embeddings.mean(0)).double()
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    scores = (left * values)[:, :dimensions]
    largest = scores.gather(0, scores.abs().argmax(0, keepdim=True))
    return (scores * largest.sign()).float()


def keep_largest(delta: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and columns of the `k` entries of largest magnitude in each row, (..., rows, k) both."""
    columns = delta.abs().topk(k, dim=-1, sorted=False).indices
    return delta.gather(-1, columns), columns


def project_sparse(values: Tensor, columns: Tensor, basis: Tensor) -> Tensor:
    """Multiply sparse rows with a dense basis: (..., rows, k) and (genes, d) to (..., rows, d)."""
    flat = values.reshape(-1, values.shape[-1]).unsqueeze(1)
    gathered = basis[columns.reshape(-1, columns.shape[-1])]
    return (flat @ gathered).squeeze(1).unflatten(0, values.shape[:-1])


@dataclass(frozen=True)
class Projection:
    """How a genes x genes change becomes a latent of each gene.

    Attributes
    ----------
    basis
        What rows are multiplied with, (genes, d).
    top_k
        How many entries of largest magnitude are kept of each row; None for all.
    magnitude
        Whether signs are dropped first.
    """

    basis: Tensor
    top_k: int | None = None
    magnitude: bool = False

    def __call__(self, change: Tensor) -> Tensor:
        """Project rows of a change, (..., rows, genes), to (..., rows, d)."""
        change = change.abs() if self.magnitude else change
        if self.top_k is None or self.top_k >= change.shape[-1]:
            return change @ self.basis
        return project_sparse(*keep_largest(change, self.top_k), self.basis)


@torch.no_grad()
def attention_change(
    source: AttentionSource, control: Tensor, perturbed: Tensor, project: Projection, block: int = 128
) -> Tensor:
    """Latents of pairs of cells, streamed in blocks of rows.

    Parameters
    ----------
    source
        A frozen model.
    control, perturbed
        Expression of paired cells, log1p CP10K, (pairs, genes).
    project
        Reduces each block at once.
    block
        Rows per block.

    Returns
    -------
    Tensor
        (pairs, genes, d), not standardised.
    """
    pairs, genes = control.shape
    latents = project.basis.new_empty(pairs, genes, project.basis.shape[1])
    for rows, maps in source.maps(torch.cat([control, perturbed]), block):
        latents[:, rows] = project(maps[pairs:] - maps[:pairs])
    return latents


@torch.no_grad()
def mean_map(source: AttentionSource, cells: Tensor, at_once: int, block: int = 128) -> Tensor:
    """Mean map over cells, (genes, genes); one such matrix is held.

    Parameters
    ----------
    source
        A frozen model.
    cells
        Expression, log1p CP10K, (cells, genes).
    at_once, block
        Cells per batch and rows per block.
    """
    genes = cells.shape[1]
    total = torch.zeros(genes, genes, device=cells.device)
    for part in slices(len(cells), at_once):
        for rows, maps in source.maps(cells[part], block):
            total[rows] += maps.sum(0)
    return total / len(cells)


@dataclass(frozen=True)
class Standardiser:
    """Shift and scale that give training latents mean 0 and standard deviation 1.

    Attributes
    ----------
    mean, deviation
        For each gene and dimension, (genes, d); a constant one has deviation 1.
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def fit(cls, latents: Tensor) -> Standardiser:
        """Learn from training latents, (pairs, genes, d), gene by gene to save memory."""
        mean = torch.stack([part.double().mean(0) for part in latents.unbind(1)])
        deviation = torch.stack([part.double().std(0, unbiased=False) for part in latents.unbind(1)])
        floor = 1e-6 * deviation.max().clamp(min=1e-30)
        deviation = torch.where(deviation > floor, deviation, torch.ones_like(deviation))
        return cls(mean.float(), deviation.float())

    def apply(self, latents: Tensor) -> Tensor:
        """Standardise latents (pairs, genes, d)."""
        return (latents - self.mean) / self.deviation
