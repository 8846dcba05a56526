"""scDFM's network, operation by operation, for comparison with the fast one.

Nothing is fused or cached: both attention maps are formed with a softmax, subtracted and kept in float32,
every concatenation is made, and at every call the genes read from the whole vocabulary in the gene encoder.
(The published code repeats that for each cell of the batch, although all have the same genes.) Written from
the published description; only the names of the weights are those of `methods._flow.backbone.Flow`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

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
    dropout
        Share of values dropped where training drops them; 0 to compare numbers.
    """

    weights: Weights
    heads: int
    layers: int
    time_scale: float = 1.0
    dropout: float = 0.0

    def velocity(
        self, x_t: Tensor, control: Tensor, t: Tensor, genes: Tensor, perturbation: Tensor
    ) -> Tensor:
        """Velocity of every gene, (cells, genes), from x_t and control (cells, genes) and t (cells,).

        genes are tokens, (genes,); perturbation the two tokens of each cell, (cells, 2).
        """
        gene = self.gene_encoder(genes[None]).expand(len(x_t), -1, -1)
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
        joined = self.with_perturbation(tokens, perturbed)
        hidden = functional.leaky_relu(self.linear("expression_head.first", joined))
        hidden = functional.leaky_relu(self.linear("expression_head.second", hidden))
        return self.linear("expression_head.last", hidden).squeeze(-1)

    def gene_encoder(self, tokens: Tensor) -> Tensor:
        """Vectors of tokens (sets, n) that have read from their neighbours among all tokens."""
        embedded = self.norm("genes.norm", self.weights["genes.embedding.weight"])
        own = embedded[tokens]
        if "genes.neighbours.mask" not in self.weights:
            return own
        prefix = "genes.neighbours"
        own = own + self.neighbours(tokens, own, embedded)
        wide = functional.gelu(self.linear(f"{prefix}.expand", self.norm(f"{prefix}.feed_norm", own)))
        return own + self.drop(self.linear(f"{prefix}.contract", self.drop(wide)))

    def neighbours(self, tokens: Tensor, own: Tensor, embedded: Tensor) -> Tensor:
        """Multi-head attention to all tokens, those that are no neighbours being masked."""
        prefix = "genes.neighbours"
        q_weight, k_weight, v_weight = self.weights[f"{prefix}.attention.in_proj_weight"].chunk(3)
        q_bias, k_bias, v_bias = self.weights[f"{prefix}.attention.in_proj_bias"].chunk(3)
        memory = self.norm(f"{prefix}.memory_norm", embedded)[None]
        q = self.split(functional.linear(self.norm(f"{prefix}.query_norm", own), q_weight, q_bias))
        k = self.split(functional.linear(memory, k_weight, k_bias))
        v = self.split(functional.linear(memory, v_weight, v_bias))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        strangers = ~self.weights[f"{prefix}.mask"][tokens][:, None]
        read = self.drop(scores.masked_fill(strangers, -torch.inf).softmax(-1)) @ v
        return self.linear(f"{prefix}.attention.out_proj", read.transpose(1, 2).flatten(2))

    def value(self, name: str, values: Tensor) -> Tensor:
        """Encode one number per gene."""
        hidden = functional.relu(self.linear(f"{name}.first", values.clamp(max=512).unsqueeze(-1)))
        return self.drop(self.norm(f"{name}.norm", self.linear(f"{name}.second", hidden)))

    def fuse(self, noisy: Tensor, known: Tensor) -> Tensor:
        """Merge the tokens of both cells."""
        hidden = functional.gelu(self.linear("fusion.first", torch.cat([noisy, known], dim=-1)))
        return self.norm("fusion.norm", self.linear("fusion.second", hidden))

    def time(self, t: Tensor) -> Tensor:
        """Sinusoids of 256 numbers with periods up to 10,000, then a small net."""
        half = 128
        rates = torch.tensor([10_000.0 ** (-index / half) for index in range(half)])
        angles = self.time_scale * t[:, None] * rates[None].to(t.device)
        sinusoids = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)
        return self.linear(
            "expression_time.net.2", functional.silu(self.linear("expression_time.net.0", sinusoids))
        )

    def gene_modulation(self, name: str, tokens: Tensor, gene: Tensor) -> Tensor:
        """GeneadaLN."""
        shift, gate, scale = self.linear(f"{name}.out", functional.silu(gene)).chunk(3, dim=-1)
        return tokens + gate * (self.norm(f"{name}.norm", tokens) * scale + shift)

    def adapter(self, name: str, tokens: Tensor, perturbed: Tensor) -> Tensor:
        """Two linear layers on token and perturbation."""
        hidden = functional.leaky_relu(
            self.linear(f"{name}.first", self.with_perturbation(tokens, perturbed))
        )
        return functional.leaky_relu(self.linear(f"{name}.second", self.drop(hidden)))

    def block(self, name: str, depth: int, tokens: Tensor, time: Tensor, known: Tensor | None) -> Tensor:
        """A differential block: of the tokens with themselves, or with the control map subtracted."""
        parts = self.linear(f"{name}.condition", functional.silu(time))[:, None].chunk(6, dim=-1)
        ready = functional.layer_norm(tokens, tokens.shape[-1:]) * (1 + parts[1]) + parts[0]
        tokens = tokens + parts[2] * self.attention(f"{name}.attention", depth, ready, tokens, known)
        ready = functional.layer_norm(tokens, tokens.shape[-1:]) * (1 + parts[4]) + parts[3]
        wide = functional.gelu(self.linear(f"{name}.expand", ready), approximate="tanh")
        return tokens + parts[5] * self.linear(f"{name}.contract", wide)

    def attention(self, name: str, depth: int, ready: Tensor, raw: Tensor, known: Tensor | None) -> Tensor:
        """softmax(q1 k1') - lambda softmax(q2 k2'), the maps formed and subtracted."""
        first = self.map(name, "1", ready, raw)
        second = self.map(name, "2", *((ready, raw) if known is None else (known, known)))
        start = 0.8 - 0.6 * math.exp(-0.3 * depth)
        (query1, query2), (key1, key2) = self.weights[f"{name}.lambda_vectors"]
        weight = torch.exp(query1 @ key1) - torch.exp(query2 @ key2) + start
        values = self.split(self.linear(f"{name}.value", ready))
        mixed = (first - weight * second) @ values
        mixed = mixed / torch.sqrt(mixed.square().mean(-1, keepdim=True) + 1e-5)
        mixed = mixed * self.weights[f"{name}.head_norm.weight"] * (1 - start)
        return self.linear(f"{name}.out", mixed.transpose(1, 2).flatten(2))

    def map(self, name: str, which: str, reader: Tensor, read: Tensor) -> Tensor:
        """One attention map, (cells, heads, genes, genes)."""
        q = self.split(self.linear(f"{name}.query{which}", reader))
        k = self.split(self.linear(f"{name}.key{which}", read))
        return (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(-1)

    def split(self, tokens: Tensor) -> Tensor:
        """(cells, genes, width) to (cells, heads, genes, size)."""
        cells, genes, width = tokens.shape
        return tokens.view(cells, genes, self.heads, width // self.heads).permute(0, 2, 1, 3)

    def with_perturbation(self, tokens: Tensor, perturbed: Tensor) -> Tensor:
        """Put the perturbation beside every token."""
        return torch.cat([tokens, perturbed[:, None].expand_as(tokens)], dim=-1)

    def linear(self, name: str, values: Tensor) -> Tensor:
        """Apply a linear layer, with a bias where it has one."""
        weight = self.weights[f"{name}.weight"]
        return functional.linear(values, weight, self.weights.get(f"{name}.bias"))

    def norm(self, name: str, values: Tensor) -> Tensor:
        """Layer norm with its affine part."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return functional.layer_norm(values, values.shape[-1:], weight, bias)

    def drop(self, values: Tensor) -> Tensor:
        """Drop some values where training asks for it."""
        return functional.dropout(values, self.dropout) if self.dropout else values
