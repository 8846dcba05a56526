"""From genes, values and times to vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST_VALUE = 512.0
FREQUENCIES = 128
"""Pairs of sine and cosine that stand for a time."""


class GeneEncoder(nn.Module):
    """Gene vectors that have read from their neighbours in the co-expression graph.

    Embedding and layer norm, then one pre-norm cross-attention layer whose memory is the normalised
    embedding of all tokens, masked to the neighbours of each (scDFM's only use of the graph). Nothing here
    depends on the cell, so it is computed once for a step and once for a whole prediction. What is dropped
    is drawn for each token that is given: a gene that all cells share drops the same for all of them, where
    scDFM draws it anew for each cell.

    Parameters
    ----------
    n_tokens, width, heads
        Size of the vocabulary and of a token; attention heads.
    dropout
        Share of hidden values dropped in training.
    graph
        Whether there is the cross-attention layer.
    """

    def __init__(self, n_tokens: int, width: int, heads: int, dropout: float, graph: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, width)
        self.norm = nn.LayerNorm(width)
        self.neighbours = GraphAttention(n_tokens, width, heads, dropout) if graph else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode tokens (n,) as vectors (n, width)."""
        if self.neighbours is None:
            return self.norm(self.embedding(tokens))
        return self.neighbours(self.norm(self.embedding.weight), tokens)


class GraphAttention(nn.Module):
    """One transformer layer in which a gene reads from its neighbours alone.

    Parameters
    ----------
    n_tokens, width, heads, dropout
        As in `GeneEncoder`.

    Attributes
    ----------
    mask
        Who reads from whom, boolean (n_tokens, n_tokens); at first every token from itself.
    """

    mask: Tensor

    def __init__(self, n_tokens: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feed_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.dropout = dropout
        self.register_buffer("mask", torch.eye(n_tokens, dtype=torch.bool))

    def forward(self, vectors: Tensor, tokens: Tensor) -> Tensor:
        """Update the vectors of some tokens (n,) from those of all (n_tokens, width)."""
        own = vectors[tokens]
        query, strangers = self.query_norm(own), ~self.mask[tokens]
        if self.training and self.dropout and own.device.type == "cpu":
            read = self._read_with_dropout(query, vectors, strangers)
        else:
            read = self.attention(query, vectors, vectors, attn_mask=strangers, need_weights=False)[0]
        own = own + functional.dropout(read, self.dropout, self.training)
        hidden = functional.dropout(
            functional.gelu(self.expand(self.feed_norm(own))), self.dropout, self.training
        )
        return own + functional.dropout(self.contract(hidden), self.dropout, self.training)

    def _read_with_dropout(self, query: Tensor, memory: Tensor, strangers: Tensor) -> Tensor:
        """What `attention` gives in training; on CPUs it would draw dropout for all pairs of tokens."""
        part = self.attention
        heads, width = part.num_heads, query.shape[-1]
        own = functional.linear(query, part.in_proj_weight[:width], part.in_proj_bias[:width])
        both = functional.linear(memory, part.in_proj_weight[width:], part.in_proj_bias[width:])
        q = own.unflatten(-1, (heads, -1)).transpose(0, 1) * (width // heads) ** -0.5
        k, v = both.unflatten(-1, (2, heads, -1)).permute(1, 2, 0, 3)
        weights = (q @ k.transpose(1, 2)).masked_fill(strangers, -torch.inf).softmax(-1)
        rows, columns = (~strangers).nonzero(as_tuple=True)
        kept = torch.zeros_like(weights)
        kept[:, rows, columns] = functional.dropout(weights[:, rows, columns], self.dropout)
        return part.out_proj((kept @ v).transpose(0, 1).flatten(1))


class ValueEncoder(nn.Module):
    """Encode `n_values` numbers per gene: Linear, ReLU, Linear, layer norm, dropout.

    Parameters
    ----------
    n_values
        Numbers per gene.
    width
        Size of a token.
    dropout
        Share of values dropped in training.
    """

    def __init__(self, n_values: int, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(n_values, width)
        self.second = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = dropout

    def forward(self, values: Tensor) -> Tensor:
        """Encode values (cells, genes, n_values) as (cells, genes, width)."""
        hidden = functional.relu(self.first(values.clamp(max=LARGEST_VALUE)))
        return functional.dropout(self.norm(self.second(hidden)), self.dropout, self.training)


class CellContextEncoder(nn.Module):
    """Vectors of cell contexts: what is learned of those that show perturbed cells, and mixtures of them.

    Nothing can be learned of a vector of a context that shows control cells alone. It has those of the others
    in the shares that its control cells say. All vectors are zero at first.

    Parameters
    ----------
    contexts, width
        How many there are, and size of a token.

    Attributes
    ----------
    shares
        (contexts, contexts): how much of the learned vector of each (column) is in the vector of each (row).
    """

    shares: Tensor

    def __init__(self, contexts: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(contexts, width))
        self.register_buffer("shares", torch.eye(contexts))

    def forward(self, contexts: Tensor) -> Tensor:
        """Vectors (n, width) of contexts by their numbers (n,)."""
        return self.shares[contexts] @ self.vectors


class Fusion(nn.Module):
    """Merge the tokens of the noisy cell and of its control cell.

    Parameters
    ----------
    width
        Size of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * width, width)
        self.second = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, noisy: Tensor, control: Tensor) -> Tensor:
        """Merge two tensors (cells, genes, width) into one."""
        width = noisy.shape[-1]
        hidden = functional.linear(noisy, self.first.weight[:, :width], self.first.bias)
        hidden = hidden + functional.linear(control, self.first.weight[:, width:])
        return self.norm(self.second(functional.gelu(hidden)))


class TimeEmbedding(nn.Module):
    """Sinusoids of a time in [0, 1], then a small net.

    Parameters
    ----------
    width
        Size of the embedding.
    scale
        What times are multiplied with. 1,000 makes all frequencies vary; scDFM was published with 1, where
        most of them are all but constant.
    """

    rates: Tensor

    def __init__(self, width: int, scale: float = 1000.0) -> None:
        super().__init__()
        exponents = torch.arange(FREQUENCIES) / FREQUENCIES
        rates = scale * torch.exp(-math.log(10_000.0) * exponents)
        self.register_buffer("rates", rates, persistent=False)
        self.net = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, times: Tensor) -> Tensor:
        """Embed times (cells,) as (cells, width)."""
        angles = times.unsqueeze(-1) * self.rates
        return self.net(torch.cat([angles.cos(), angles.sin()], dim=-1))
