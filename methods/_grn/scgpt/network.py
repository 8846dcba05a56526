"""scGPT before its decoders, under the names of its published weights.

A token is the layer-normed embedding of a gene plus an encoding of its value; there are no positions; layers
are post-norm with ReLU (Cui et al. 2024, Nature Methods 21, 1470, and the public code).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ScGPTLayer(nn.TransformerEncoderLayer):
    """Torch's post-norm layer, for its names, with attention that never forms a map and can be read."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__(width, heads, hidden, dropout=0.0, batch_first=True)

    def queries_keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project tokens (cells, genes, width) to three tensors (cells, heads, genes, width / heads)."""
        attention = self.self_attn
        projected = functional.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
        split = projected.unflatten(-1, (3, attention.num_heads, -1))
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (cells, genes, width) to tokens of the same shape."""
        mixed = functional.scaled_dot_product_attention(*self.queries_keys_values(tokens))
        tokens = self.norm1(tokens + self.self_attn.out_proj(mixed.transpose(1, 2).flatten(2)))
        return self.norm2(tokens + self.linear2(functional.relu(self.linear1(tokens))))


class ScGPTEncoder(nn.Module):
    """The part of scGPT before its decoders, with the names of its state dictionary.

    Parameters
    ----------
    tokens
        Size of the vocabulary.
    width, heads, hidden, layers
        Size of a token, attention heads, size of the feed-forward net, and number of layers.
    """

    def __init__(self, tokens: int, width: int, heads: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            OrderedDict(embedding=nn.Embedding(tokens, width), enc_norm=nn.LayerNorm(width))
        )
        self.value_encoder = nn.Sequential(
            OrderedDict(
                linear1=nn.Linear(1, width),
                activation=nn.ReLU(),
                linear2=nn.Linear(width, width),
                norm=nn.LayerNorm(width),
            )
        )
        blocks = nn.ModuleList(ScGPTLayer(width, heads, hidden) for _ in range(layers))
        self.transformer_encoder = nn.ModuleDict({"layers": blocks})

    def keep_tokens(self, ids: Sequence[int]) -> None:
        """Forget all tokens but these, which are numbered anew in this order."""
        kept = self.encoder.embedding.weight[torch.as_tensor(ids)]
        self.encoder.embedding = nn.Embedding.from_pretrained(kept)

    def token_vectors(self) -> Tensor:
        """Embeddings of all tokens as the layers see them, (tokens, width)."""
        return self.encoder.enc_norm(self.encoder.embedding.weight)

    def last_queries_keys(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of the last layer, (cells, heads, tokens, size), from values (cells, tokens)."""
        tokens = self.token_vectors() + self.value_encoder(values.unsqueeze(-1))
        *earlier, last = self.transformer_encoder["layers"]
        for layer in earlier:
            tokens = layer(tokens)
        return last.queries_keys_values(tokens)[:2]
