"""scDFM's network, operation by operation, for comparison with the fast one.

Nothing is fused, cached or shared, and no module of a library is called: both attention maps are formed and
subtracted, every concatenation is made, every cell has its genes encoded for itself, and normalisation and
activations are their formulas. Written from the behaviour of the public code; only the names of the weights
are those of `methods._flow.backbone.Flow`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class LiteralFlow:
    """The published network with given weights.

    Attributes
    ----------
    weights
        By the names of `Flow`.
    heads, layers, time_scale
        As in `FlowShape`.
    drop
        What dropout does to values, wherever training drops some; nothing where numbers are compared.
    """

    weights: Weights
    heads: int
    layers: int
    time_scale: float = 1.0
    drop: Callable[[Tensor], Tensor] = lambda values: values

    def velocity(
        self, x_t: Tensor, control: Tensor, t: Tensor, genes: Tensor, perturbation: Tensor
    ) -> Tensor:
        """Velocity of every gene, (cells, genes), from x_t and control (cells, genes) and t (cells,).

        genes are tokens, (genes,); perturbation the two tokens of each cell, (cells, 2).
        """
        gene = self.gene_encoder(genes.repeat(len(x_t), 1))
        noisy = gene + self.value("noisy_value", x_t)
        known = gene + self.value("control_value", control)
        tokens = self.fuse(noisy, known)
        perturbed = self.gene_encoder(perturbation).mean(dim=1)
        time = self.time(t)
        for layer in range(self.layers):
            name = f"layers.{layer}"
            tokens = self.gene_modulation(f"{name}.gene_modulation", tokens, gene)
            tokens = self.adapter(f"{name}.adapter", tokens, perturbed)
            tokens = self.block(f"{name}.self_block", layer, tokens, time, None)
            tokens = self.block(f"{name}.cross_block", layer, tokens, time, known)
        joined = with_perturbation(tokens, perturbed)
        hidden = leaky_relu(self.linear("expression_head.first", joined))
        hidden = leaky_relu(self.linear("expression_head.second", hidden))
        return self.linear("expression_head.last", hidden)[..., 0]

    def gene_encoder(self, tokens: Tensor) -> Tensor:
        """Vectors of tokens (cells, n) that have read from their neighbours among all tokens."""
        table = self.weights["genes.embedding.weight"]
        own = self.norm("genes.norm", table[tokens])
        if "genes.neighbours.mask" not in self.weights:
            return own
        prefix = "genes.neighbours"
        memory = self.norm("genes.norm", table.repeat(len(tokens), 1, 1))
        own = own + self.drop(self.neighbours(tokens, own, memory))
        wide = gelu(self.linear(f"{prefix}.expand", self.norm(f"{prefix}.feed_norm", own)))
        return own + self.drop(self.linear(f"{prefix}.contract", self.drop(wide)))

    def neighbours(self, tokens: Tensor, own: Tensor, memory: Tensor) -> Tensor:
        """Multi-head attention to all tokens, those that are no neighbours being masked."""
        prefix = "genes.neighbours"
        q_weight, k_weight, v_weight = self.weights[f"{prefix}.attention.in_proj_weight"].chunk(3)
        q_bias, k_bias, v_bias = self.weights[f"{prefix}.attention.in_proj_bias"].chunk(3)
        q = self.split(self.norm(f"{prefix}.query_norm", own) @ q_weight.T + q_bias)
        k, v = self.split(memory @ k_weight.T + k_bias), self.split(memory @ v_weight.T + v_bias)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        friends = self.weights[f"{prefix}.mask"][tokens][:, None]
        weights = softmax(torch.where(friends, scores, -math.inf))
        return self.linear(f"{prefix}.attention.out_proj", together(self.drop(weights) @ v))

    def value(self, name: str, values: Tensor) -> Tensor:
        """Encode one number per gene."""
        most = torch.full_like(values, 512.0)
        hidden = self.linear(f"{name}.first", torch.minimum(values, most)[..., None])
        hidden = self.linear(f"{name}.second", torch.where(hidden > 0, hidden, 0))
        return self.drop(self.norm(f"{name}.norm", hidden))

    def fuse(self, noisy: Tensor, known: Tensor) -> Tensor:
        """Merge the tokens of both cells."""
        hidden = gelu(self.linear("fusion.first", torch.cat([noisy, known], dim=-1)))
        return self.norm("fusion.norm", self.linear("fusion.second", hidden))

    def time(self, t: Tensor) -> Tensor:
        """Sinusoids of 256 numbers with periods up to 10,000, then a small net."""
        half = 128
        frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
        angles = t[:, None] * (self.time_scale * frequencies)[None].to(t.dtype)
        sinusoids = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)
        return self.linear("expression_time.net.2", silu(self.linear("expression_time.net.0", sinusoids)))

    def gene_modulation(self, name: str, tokens: Tensor, gene: Tensor) -> Tensor:
        """GeneadaLN."""
        shift, gate, scale = self.linear(f"{name}.out", silu(gene)).chunk(3, dim=-1)
        return tokens + gate * (self.norm(f"{name}.norm", tokens) * scale + shift)

    def adapter(self, name: str, tokens: Tensor, perturbed: Tensor) -> Tensor:
        """Two linear layers on token and perturbation."""
        hidden = leaky_relu(self.linear(f"{name}.first", with_perturbation(tokens, perturbed)))
        return leaky_relu(self.linear(f"{name}.second", self.drop(hidden)))

    def block(self, name: str, depth: int, tokens: Tensor, time: Tensor, known: Tensor | None) -> Tensor:
        """A differential block: of the tokens with themselves, or with the control map subtracted."""
        parts = self.linear(f"{name}.condition", silu(time))[:, None].chunk(6, dim=-1)
        ready = normalised(tokens, 1e-6) * (1 + parts[1]) + parts[0]
        tokens = tokens + parts[2] * self.attention(f"{name}.attention", depth, ready, tokens, known)
        ready = normalised(tokens, 1e-6) * (1 + parts[4]) + parts[3]
        wide = gelu_by_tanh(self.linear(f"{name}.expand", ready))
        return tokens + parts[5] * self.linear(f"{name}.contract", wide)

    def attention(self, name: str, depth: int, ready: Tensor, raw: Tensor, known: Tensor | None) -> Tensor:
        """softmax(q1 k1') - lambda softmax(q2 k2'), the maps formed and subtracted.

        A block of tokens alone has keys from the tokens before modulation, in both maps; one that compares
        with the control cell has them from modulated tokens in the first and from the control cell in the
        second. Values are always of modulated tokens.
        """
        if known is None:
            first, second = self.map(name, "1", ready, raw), self.map(name, "2", ready, raw)
        else:
            first, second = self.map(name, "1", ready, ready), self.map(name, "2", known, known)
        start = 0.8 - 0.6 * math.exp(-0.3 * depth)
        (query1, query2), (key1, key2) = self.weights[f"{name}.lambda_vectors"]
        weight = torch.exp((query1 * key1).sum()) - torch.exp((query2 * key2).sum()) + start
        mixed = (first - weight * second) @ self.split(self.linear(f"{name}.value", ready))
        mixed = mixed / torch.sqrt((mixed * mixed).mean(-1, keepdim=True) + 1e-5)
        mixed = mixed * self.weights[f"{name}.head_norm.weight"] * (1 - start)
        return self.linear(f"{name}.out", together(mixed))

    def map(self, name: str, which: str, reader: Tensor, read: Tensor) -> Tensor:
        """One attention map, (cells, heads, genes, genes)."""
        q = self.split(self.linear(f"{name}.query{which}", reader))
        k = self.split(self.linear(f"{name}.key{which}", read))
        return softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]))

    def split(self, tokens: Tensor) -> Tensor:
        """(cells, genes, width) to (cells, heads, genes, size)."""
        cells, genes, width = tokens.shape
        return tokens.reshape(cells, genes, self.heads, width // self.heads).transpose(1, 2)

    def linear(self, name: str, values: Tensor) -> Tensor:
        """Apply a linear layer, with a bias where it has one."""
        product = values @ self.weights[f"{name}.weight"].T
        return product + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else product

    def norm(self, name: str, values: Tensor) -> Tensor:
        """Layer norm with its affine part."""
        return normalised(values, 1e-5) * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def together(heads: Tensor) -> Tensor:
    """(cells, heads, genes, size) to (cells, genes, width)."""
    return heads.transpose(1, 2).flatten(2)


def with_perturbation(tokens: Tensor, perturbed: Tensor) -> Tensor:
    """Put the perturbation beside every token."""
    return torch.cat([tokens, perturbed[:, None].expand_as(tokens)], dim=-1)


def normalised(values: Tensor, epsilon: float) -> Tensor:
    """Mean 0 and variance 1 along the last axis."""
    centred = values - values.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + epsilon)


def softmax(scores: Tensor) -> Tensor:
    """Along the last axis."""
    powers = torch.exp(scores - scores.amax(-1, keepdim=True).detach())
    return powers / powers.sum(-1, keepdim=True)


def silu(values: Tensor) -> Tensor:
    """x / (1 + exp(-x))."""
    return values * torch.sigmoid(values)


def leaky_relu(values: Tensor) -> Tensor:
    """x, a hundredth of it below zero."""
    return torch.where(values > 0, values, 0.01 * values)


def gelu(values: Tensor) -> Tensor:
    """x times the normal distribution function."""
    return values * (1 + torch.erf(values / math.sqrt(2))) / 2


def gelu_by_tanh(values: Tensor) -> Tensor:
    """The approximation of the same with a hyperbolic tangent."""
    inner = math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)
    return values * (1 + torch.tanh(inner)) / 2
