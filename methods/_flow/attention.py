"""Differential attention: the difference of two softmax maps, without ever forming a map."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class DifferentialAttention(nn.Module):
    """Attention with the map softmax(q1 k1') - lambda softmax(q2 k2').

    Source: Ye et al. 2024, "Differential Transformer". The difference is linear in the values, so it is two
    fused attention calls. lambda = exp(lq1 . lk1) - exp(lq2 . lk2) + lambda_init with lambda_init =
    0.8 - 0.6 exp(-0.3 depth), its vectors shared by the heads; each head is normalised by its root mean
    square and scaled by 1 - lambda_init.

    Parameters
    ----------
    width
        Size of a token; a multiple of `heads`.
    heads
        Number of heads, each with two maps and one set of values.
    depth
        Index of the layer, from 0: deeper layers subtract more.
    """

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, 2 * width, bias=False)
        self.key = nn.Linear(width, 2 * width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        head = width // heads
        self.lambda_vectors = nn.Parameter(0.1 * torch.randn(2, 2, head))
        self.lambda_init = 0.8 - 0.6 * math.exp(-0.3 * depth)
        self.head_norm = nn.RMSNorm(head, eps=1e-5)

    def difference(self) -> Tensor:
        """Weight of the map that is subtracted, a scalar."""
        first, second = self.lambda_vectors.prod(dim=0).sum(-1).exp()
        return first - second + self.lambda_init

    def forward(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        """Let tokens (cells, genes, width) read from `context` (cells, others, width), or from themselves."""
        source = tokens if context is None else context
        q1, q2 = self._heads(self.query(tokens), 2)
        k1, k2 = self._heads(self.key(source), 2)
        (v,) = self._heads(self.value(source), 1)
        mixed = functional.scaled_dot_product_attention(q1, k1, v)
        mixed = mixed - self.difference() * functional.scaled_dot_product_attention(q2, k2, v)
        mixed = self.head_norm(mixed) * (1 - self.lambda_init)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _heads(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        cells, genes, size = projected.shape
        split = projected.view(cells, genes, parts, self.heads, size // (parts * self.heads))
        return split.permute(2, 0, 3, 1, 4).unbind(0)
