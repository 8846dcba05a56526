"""Attention sources made from training cells: a pretrained transformer, and the controls it must beat."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from methods._flow.cells import slices
from methods._grn.attention import Normalisation, stream_maps
from methods._grn.transformer import GeneTransformer


@dataclass(frozen=True)
class TransformerSource:
    """The attention of a gene transformer that reads standardised values.

    Attributes
    ----------
    model
        The transformer, frozen.
    mean, deviation
        Units of the values it reads, (genes,).
    layer
        Which layer is read, counted from the end where negative.
    normalisation
        As in `stream_maps`.
    """

    model: GeneTransformer
    mean: Tensor
    deviation: Tensor
    layer: int = -1
    normalisation: Normalisation = "softmax"

    def gene_vectors(self) -> Tensor:
        """Embeddings of the panel's genes, (genes, width)."""
        return self.model.gene_vectors().detach()

    def maps(self, cells: Tensor, block: int = 128) -> Iterator[tuple[slice, Tensor]]:
        """Stream the maps of cells (cells, genes), log1p CP10K."""
        with torch.no_grad():
            values = (cells - self.mean) / self.deviation
            yield from stream_maps(self.model.queries_keys(values, self.layer), self.normalisation, block)


def with_shuffled_genes(model: GeneTransformer, seed: int) -> GeneTransformer:
    """Copy a transformer in which every gene has the vectors of another one, drawn at random."""
    shuffled = copy.deepcopy(model)
    order = torch.randperm(
        model.gene_embedding.num_embeddings, generator=torch.Generator().manual_seed(seed)
    ).to(model.gene_embedding.weight.device)
    with torch.no_grad():
        for vectors in (shuffled.gene_embedding, shuffled.gene_scaling):
            vectors.weight.copy_(vectors.weight[order].clone())
    return shuffled


@dataclass(frozen=True)
class CoexpressionSource:
    """No transformer: a gene reads its co-expressed neighbours in proportion to their expression.

    The map of a cell is corr(g, h) x_h, with x_h standardised and nothing of a gene's own: what a static
    network of correlations makes of a cell.

    Attributes
    ----------
    correlation
        Of genes over training control cells, (genes, genes).
    mean, deviation
        Units of expression, (genes,).
    vectors
        Embeddings of genes, (genes, width).
    """

    correlation: Tensor
    mean: Tensor
    deviation: Tensor
    vectors: Tensor

    def gene_vectors(self) -> Tensor:
        """Embeddings of the panel's genes, (genes, width)."""
        return self.vectors

    def maps(self, cells: Tensor, block: int = 128) -> Iterator[tuple[slice, Tensor]]:
        """Stream the maps of cells (cells, genes), log1p CP10K."""
        values = (cells - self.mean) / self.deviation
        for rows in slices(values.shape[1], block):
            yield rows, self.correlation[rows] * values.unsqueeze(1)


def without_own(correlations: np.ndarray) -> Tensor:
    """Correlations (genes, genes) as float32 with a zero diagonal."""
    own = np.diag(np.diag(correlations))
    return torch.from_numpy((correlations - own).astype(np.float32))
