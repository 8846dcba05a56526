"""A small gene transformer in the manner of scGPT, whose attention can be read.

A cell is a set of genes, each one token: the embedding of the gene plus an encoding of its value. There
are no positions. Layers are post-norm encoders, as in scGPT (Cui et al. 2024).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods._grn.attention import QueriesKeys


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward net, each followed by a layer norm.

    Parameters
    ----------
    width
        Size of a token; a multiple of `heads`.
    heads
        Number of attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.linear1 = nn.Linear(width, 2 * width)
        self.linear2 = nn.Linear(2 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def queries_keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project tokens (cells, genes, width) to three tensors (cells, heads, genes, width / heads)."""
        cells, genes, width = tokens.shape
        split = self.in_proj(tokens).view(cells, genes, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (cells, genes, width) to tokens of the same shape."""
        q, k, v = self.queries_keys_values(tokens)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = self.norm1(tokens + self.out_proj(mixed))
        return self.norm2(tokens + self.linear2(functional.relu(self.linear1(tokens))))


class GeneTransformer(nn.Module):
    """Encoder over the genes of a cell, pretrained by predicting values that were masked.

    A token is the gene's vector, plus an encoding of its value (scGPT's "continuous" style), plus the value
    times a second vector of the gene (its "scaling" style): products of value and gene are what one layer
    of attention must sum to see the programmes that a cell runs.

    Parameters
    ----------
    n_genes
        Size of the gene panel.
    width, heads, layers
        Size of a token, attention heads and encoder layers.
    """

    def __init__(self, n_genes: int, width: int = 64, heads: int = 2, layers: int = 2) -> None:
        super().__init__()
        self.gene_embedding = nn.Embedding(n_genes, width)
        self.gene_norm = nn.LayerNorm(width)
        self.gene_scaling = nn.Embedding(n_genes, width)
        self.value_encoder = nn.Sequential(
            nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width), nn.LayerNorm(width)
        )
        self.masked_value = nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList(EncoderLayer(width, heads) for _ in range(layers))
        self.decoder = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    @torch.no_grad()
    def start_from(self, loadings: Tensor) -> None:
        """Set the first columns of both gene vectors to loadings (genes, components), scaled to unit size."""
        size = loadings.shape[1]
        scaled = loadings / loadings.square().mean(0).sqrt().clamp(min=1e-12)
        self.gene_embedding.weight[:, :size] = scaled
        self.gene_scaling.weight.mul_(0.3)
        self.gene_scaling.weight[:, :size] = 0.3 * scaled

    @property
    def n_layers(self) -> int:
        """Number of encoder layers."""
        return len(self.layers)

    def gene_vectors(self) -> Tensor:
        """Embeddings of all genes as the encoder sees them, (genes, width)."""
        return self.gene_norm(self.gene_embedding.weight)

    def embed(self, values: Tensor, genes: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """Make tokens (cells, genes, width) from values (cells, genes); `masked` values are hidden."""
        vectors, scaling = self.gene_vectors(), self.gene_scaling.weight
        if genes is not None:
            vectors, scaling = vectors[genes], scaling[genes]
        encoded = torch.addcmul(self.value_encoder(values.unsqueeze(-1)), values.unsqueeze(-1), scaling)
        if masked is not None:
            encoded = torch.where(masked.unsqueeze(-1), self.masked_value, encoded)
        return vectors + encoded

    def forward(self, values: Tensor, genes: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """Predict the value of every gene, (cells, genes), from those that are not masked.

        Parameters
        ----------
        values
            Standardised expression, (cells, genes given).
        genes
            Indices of the genes given, (genes given); None for the whole panel.
        masked
            Where values are hidden, boolean, (cells, genes given).
        """
        tokens = self.embed(values, genes, masked)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.decoder(tokens).squeeze(-1)

    def queries_keys(self, values: Tensor, layer: int = -1) -> QueriesKeys:
        """Run a cell to a layer and take what its attention compares.

        Parameters
        ----------
        values
            Standardised expression, (cells, genes).
        layer
            Which layer, counted from the end where negative.
        """
        index = range(self.n_layers)[layer]
        tokens = self.embed(values)
        for earlier in self.layers[:index]:
            tokens = earlier(tokens)
        queries, keys, _ = self.layers[index].queries_keys_values(tokens)
        return QueriesKeys(queries, keys)
