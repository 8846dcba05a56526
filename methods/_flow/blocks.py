"""One layer of scDFM's backbone: gene modulation, adapter, two differential-attention blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods._flow.attention import DifferentialAttention

EPSILON = 1e-6
"""Added to the variance where tokens are normalised before attention, as DiT does."""


def modulate(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise tokens (cells, genes, width) without own affine part, then scale by 1 + scale and shift."""
    normal = functional.layer_norm(tokens, tokens.shape[-1:], eps=EPSILON)
    return torch.addcmul(shift.to(normal.dtype), normal, (1 + scale).to(normal.dtype))


def joined_linear(layer: nn.Linear, tokens: Tensor, perturbation: Tensor) -> Tensor:
    """Apply `layer` to [tokens, perturbation], the perturbation's half once per cell instead of per gene.

    Parameters
    ----------
    layer
        Takes twice the width.
    tokens
        (cells, genes, width).
    perturbation
        (cells, width), or (1, width) where all cells share one.
    """
    width = tokens.shape[-1]
    own = functional.linear(tokens, layer.weight[:, :width])
    return own + functional.linear(perturbation, layer.weight[:, width:], layer.bias).unsqueeze(1)


class GeneModulation(nn.Module):
    """scDFM's GeneadaLN: x + gate * (LN(x) * scale + shift), the three from Linear(SiLU(gene)).

    Parameters
    ----------
    width
        Size of a token.
    meeting
        0 as published. Else the three come from SiLU(A gene + B perturbation) of this size: a gene and a
        perturbation meet before anything of a cell is read, which is how means are learned in few steps.
    """

    def __init__(self, width: int, meeting: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(meeting or width, 3 * width)
        if meeting:
            self.gene = nn.Linear(width, meeting)
            self.perturbation = nn.Linear(width, meeting, bias=False)
        self.meets = meeting > 0

    def forward(self, tokens: Tensor, genes: Tensor, perturbation: Tensor) -> Tensor:
        """Modulate tokens.

        Parameters
        ----------
        tokens
            (cells, genes, width).
        genes
            Gene vectors, (genes, width).
        perturbation
            (cells, width), or (1, width) where all cells share one.
        """
        hidden = genes
        if self.meets:
            hidden = self.gene(genes) + self.perturbation(perturbation).unsqueeze(1)
        shift, gate, scale = self.out(functional.silu(hidden)).chunk(3, dim=-1)
        return torch.addcmul(tokens, gate, torch.addcmul(shift, self.norm(tokens).to(shift.dtype), scale))


class Adapter(nn.Module):
    """Where a gene's token meets the perturbation: a small net on both, without a residual path.

    Parameters
    ----------
    width
        Size of a token.
    dropout
        Share of hidden values dropped in training.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(2 * width, width)
        self.second = nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, tokens: Tensor, perturbation: Tensor) -> Tensor:
        """Map tokens (cells, genes, width) and perturbations (cells or 1, width) to tokens."""
        hidden = functional.leaky_relu(joined_linear(self.first, tokens, perturbation))
        hidden = functional.dropout(hidden, self.dropout, self.training)
        return functional.leaky_relu(self.second(hidden))


class DifferentialBlock(nn.Module):
    """Differential attention and a feed-forward net, each under adaptive layer norm (DiT).

    Queries and values come from the modulated tokens, keys from the tokens as they are. With control
    tokens given, keys are of the modulated tokens too, and the map that is subtracted is that of the control
    tokens: which genes read from which in the control cell.

    Parameters
    ----------
    width, heads, depth
        As in `DifferentialAttention`.
    """

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.attention = DifferentialAttention(width, heads, depth)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.condition = nn.Linear(width, 6 * width)

    def forward(
        self, tokens: Tensor, condition: Tensor, control: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        """Update tokens.

        Parameters
        ----------
        tokens
            (cells, genes, width).
        condition
            Of each cell, (cells, width).
        control
            Tokens of the control cells, (cells, genes, width).
        context
            Positions of the genes that are read from; None for all.
        """
        parts = self.condition(functional.silu(condition)).unsqueeze(1).chunk(6, dim=-1)
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = parts
        ready = modulate(tokens, shift_a, scale_a)
        other = None if control is None else (control, _chosen(control, context))
        values = _chosen(ready, context)
        keys = _chosen(tokens, context) if control is None else values
        read = self.attention(ready, keys, values, other)
        tokens = torch.addcmul(tokens, gate_a, read)
        ready = modulate(tokens, shift_f, scale_f)
        return torch.addcmul(
            tokens, gate_f, self.contract(functional.gelu(self.expand(ready), approximate="tanh"))
        )


class BackboneLayer(nn.Module):
    """Gene modulation, adapter, then a self block and a block that compares with the control cell.

    Parameters
    ----------
    width, heads, depth
        As in `DifferentialAttention`.
    dropout
        As in `Adapter`.
    meeting
        As in `GeneModulation`.
    """

    def __init__(self, width: int, heads: int, depth: int, dropout: float, meeting: int = 0) -> None:
        super().__init__()
        self.gene_modulation = GeneModulation(width, meeting)
        self.adapter = Adapter(width, dropout)
        self.self_block = DifferentialBlock(width, heads, depth)
        self.cross_block = DifferentialBlock(width, heads, depth)

    def forward(
        self,
        tokens: Tensor,
        control: Tensor,
        condition: Tensor,
        genes: Tensor,
        perturbation: Tensor,
        context: Tensor | None,
    ) -> Tensor:
        """Update tokens (cells, genes, width); the other arguments as in the parts."""
        tokens = self.adapter(self.gene_modulation(tokens, genes, perturbation), perturbation)
        tokens = self.self_block(tokens, condition, context=context)
        return self.cross_block(tokens, condition, control, context)


def _chosen(tokens: Tensor, context: Tensor | None) -> Tensor:
    return tokens if context is None else tokens[:, context]
