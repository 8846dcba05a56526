"""Dense references of attention maps, straight from their definitions, and cells to read."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy import sparse
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from methods._grn.pretrain import PretrainOptions, new_transformer
from methods._grn.sources import TransformerSource
from methods._grn.transformer import GeneTransformer

OPTIONS = PretrainOptions(width=8, heads=2, layers=2, steps=5, batch_size=4, genes_per_step=6)


def transformer(n_genes: int = 13, seed: int = 3, options: PretrainOptions = OPTIONS) -> GeneTransformer:
    """Build a small untrained transformer whose parameters need no gradient."""
    return new_transformer(n_genes, options, seed).requires_grad_(False)


def source(
    n_genes: int = 13, layer: int = -1, normalisation: str = "softmax", **sizes: int
) -> TransformerSource:
    """Its attention, of values in units of gene-specific means and deviations."""
    model = transformer(n_genes, options=PretrainOptions(**{"width": 8, "heads": 2, "layers": 2, **sizes}))
    units = torch.Generator().manual_seed(8)
    mean, deviation = torch.rand(n_genes, generator=units), 0.5 + torch.rand(n_genes, generator=units)
    return TransformerSource(model, mean, deviation, layer, normalisation)


def expression(cells: int = 3, genes: int = 13, seed: int = 0) -> torch.Tensor:
    """Log values of Poisson counts, dense."""
    return torch.from_numpy(counts(cells, genes, seed).toarray())


def counts(cells: int, genes: int, seed: int = 0) -> sparse.csr_matrix:
    """Log values of Poisson counts."""
    drawn = np.random.default_rng(seed).poisson(1.5, size=(cells, genes))
    return sparse.csr_matrix(np.log1p(drawn).astype(np.float32))


def dense_attention(model: GeneTransformer, values: torch.Tensor, layer: int) -> torch.Tensor:
    """Attention (cells, heads, genes, genes) straight from its definition, one cell and head at a time."""
    tokens = model.embed(values)
    for earlier in list(model.layers)[:layer]:
        tokens = earlier(tokens)
    chosen = model.layers[layer]
    cells, genes, width = tokens.shape
    size = width // chosen.heads
    weight, bias = chosen.in_proj.weight, chosen.in_proj.bias
    maps = torch.empty(cells, chosen.heads, genes, genes)
    for cell, head in itertools.product(range(cells), range(chosen.heads)):
        q_rows = slice(head * size, (head + 1) * size)
        k_rows = slice(width + head * size, width + (head + 1) * size)
        q = tokens[cell] @ weight[q_rows].T + bias[q_rows]
        k = tokens[cell] @ weight[k_rows].T + bias[k_rows]
        scores = (q @ k.T / size**0.5).exp()
        maps[cell, head] = scores / scores.sum(1, keepdim=True)
    return maps


def dense_maps(read: TransformerSource, cells: torch.Tensor) -> torch.Tensor:
    """Maps (cells, genes, genes) of a source of two layers that reads the last one."""
    return dense_attention(read.model, (cells - read.mean) / read.deviation, 1).mean(1)


def whole(streamed) -> torch.Tensor:
    """Put blocks of rows together."""
    return torch.cat([maps for _, maps in streamed], dim=1)


class LargestTensor(TorchDispatchMode):
    """Notes the number of entries of the largest tensor that any operation gives."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.most = max([self.most, *sizes])
        return result
