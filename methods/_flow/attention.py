"""Differential attention: the difference of two softmax maps, without ever forming a map."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

SMALL_MAP = 2**21
"""Entries of the maps that are formed at once on CPUs in bfloat16: 4 MB, which caches hold."""


class DifferentialAttention(nn.Module):
    """Attention with the map softmax(q1 k1' / sqrt(size)) - lambda softmax(q2 k2' / sqrt(size)).

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
        self.query1 = nn.Linear(width, width, bias=False)
        self.key1 = nn.Linear(width, width, bias=False)
        self.query2 = nn.Linear(width, width, bias=False)
        self.key2 = nn.Linear(width, width, bias=False)
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

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, other: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Let each token read from others.

        Parameters
        ----------
        query
            Tokens that read, (cells, genes, width).
        key, value
            Tokens that are read from: what they are found by and what they give, (cells, others, width).
        other
            Tokens that the subtracted map compares instead, readers and read; None for `query` and `key`.
        """
        query2, key2 = (query, key) if other is None else other
        v = self._split(self.value(value))
        mixed = attend(self._split(self.query1(query)), self._split(self.key1(key)), v)
        subtracted = attend(self._split(self.query2(query2)), self._split(self.key2(key2)), v)
        mixed = mixed - self.difference() * subtracted
        scale = (self.head_norm.weight * (1 - self.lambda_init)).to(mixed.dtype)
        mixed = functional.rms_norm(mixed, mixed.shape[-1:], scale, self.head_norm.eps)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, projected: Tensor) -> Tensor:
        """(cells, genes, width) to (cells, heads, genes, width / heads)."""
        return projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention, (cells, heads, genes, size) and (cells, heads, others, size) twice.

    Fused, so that no map is held. On CPUs the fused kernel makes no use of bfloat16 products; there maps are
    formed in bfloat16, in a half to a fifth of the time: all at once where they are small, else some heads at
    a time, and again for the gradient instead of being kept.
    """
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return functional.scaled_dot_product_attention(query, key, value)
    at_once = SMALL_MAP // (query.shape[2] * key.shape[2])
    if at_once >= query.shape[:2].numel():
        return _attend_with_map(query, key, value)
    if at_once == 0:
        return functional.scaled_dot_product_attention(query, key, value)
    parts = zip(*(part.flatten(0, 1).split(at_once) for part in (query, key, value)), strict=True)
    read = [
        checkpoint(_attend_with_map, *part, use_reentrant=False, preserve_rng_state=False) for part in parts
    ]
    return torch.cat(read).unflatten(0, query.shape[:2])


def _attend_with_map(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1) @ value
