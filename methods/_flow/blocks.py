"""One layer of the backbone: gene-conditioned modulation, adapter, differential-attention block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods._flow.attention import DifferentialAttention


def modulate(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise tokens (cells, genes, width) without own affine part, then scale by 1 + scale and shift."""
    return torch.addcmul(shift, functional.layer_norm(tokens, tokens.shape[-1:]), 1 + scale)


class GeneModulation(nn.Module):
    """AdaLN whose shift, scale and gate come from the gene and from the perturbation together.

    This is where a gene and a perturbation meet: x + gate * (norm(x) * (1 + scale) + shift), the three from
    SiLU(A gene + B perturbation). It does not depend on the cell, so that at inference it is computed once
    for each perturbation.

    Parameters
    ----------
    width
        Size of a token.
    hidden
        Size of the hidden layer.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gene = nn.Linear(width, hidden)
        self.perturbation = nn.Linear(width, hidden, bias=False)
        self.out = nn.Linear(hidden, 3 * width)

    def forward(self, tokens: Tensor, genes: Tensor, perturbation: Tensor) -> Tensor:
        """Modulate tokens (cells, genes, width).

        Parameters
        ----------
        tokens
            (cells, genes, width).
        genes
            Gene embeddings, (genes, width).
        perturbation
            Perturbation embeddings, (cells, width), or (1, width) where all cells share one.
        """
        meeting = functional.silu(self.gene(genes) + self.perturbation(perturbation).unsqueeze(1))
        shift, scale, gate = self.out(meeting).chunk(3, dim=-1)
        return torch.addcmul(tokens, gate, modulate(tokens, shift, scale))


class FlowBlock(nn.Module):
    """Gene modulation, then differential attention and a feed-forward net under AdaLN-Zero (DiT).

    Parameters
    ----------
    width, heads, depth
        As in `DifferentialAttention`.
    feed_forward
        Hidden size of the feed-forward net, in widths.
    """

    def __init__(self, width: int, heads: int, depth: int, feed_forward: int = 2) -> None:
        super().__init__()
        self.gene_modulation = GeneModulation(width, 2 * width)
        self.attention = DifferentialAttention(width, heads, depth)
        self.expand = nn.Linear(width, feed_forward * width)
        self.contract = nn.Linear(feed_forward * width, width)
        self.condition = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)

    def forward(
        self,
        tokens: Tensor,
        condition: Tensor,
        genes: Tensor,
        perturbation: Tensor,
        context: Tensor | None = None,
    ) -> Tensor:
        """Update tokens.

        Parameters
        ----------
        tokens
            (cells, genes, width).
        condition
            Times and perturbation of each cell, (cells, width).
        genes, perturbation
            As in `GeneModulation`.
        context
            Indices of the genes that are read from; None for all.
        """
        parts = self.condition(functional.silu(condition)).unsqueeze(1).chunk(6, dim=-1)
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = parts
        tokens = self.gene_modulation(tokens, genes, perturbation)
        ready = modulate(tokens, shift_a, scale_a)
        read = None if context is None else ready[:, context]
        tokens = torch.addcmul(tokens, gate_a, self.attention(ready, read))
        ready = modulate(tokens, shift_f, scale_f)
        return torch.addcmul(tokens, gate_f, self.contract(functional.gelu(self.expand(ready))))
