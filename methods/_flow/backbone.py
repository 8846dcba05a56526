"""The flow's network: scDFM's, with a second stream for latents where there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from methods._flow.blocks import BackboneLayer, joined_linear
from methods._flow.centre import Centre
from methods._flow.encoders import CellContextEncoder, Fusion, GeneEncoder, TimeEmbedding, ValueEncoder
from methods._flow.paths import linear_velocity
from methods._flow.randomness import seeded
from methods._flow.readout import ReadoutShape

Around = tuple[Tensor | float, Tensor | float]
"""Mean and deviation."""
GENE_SPREAD = 3.0
"""Of gene vectors in a flow of standardised data: genes and perturbations are told apart early."""


@dataclass(frozen=True)
class FlowShape:
    """What decides the parameters of a `Flow`.

    Attributes
    ----------
    n_tokens
        Genes and special tokens in the vocabulary.
    width, heads, layers, dropout
        Size of a token, attention heads, layers, share of values dropped in training.
    latent
        Dimensions of the latent of each gene; 0 for a flow of expression alone.
    told
        Numbers per gene that are known of a perturbation beforehand, see `Centre`; 0 for a flow without one.
    panel, readout_width, readout_vector
        Measured genes, and sizes of the readout of the centre.
    graph
        Whether genes read from their neighbours in a co-expression graph.
    time_scale
        As in `TimeEmbedding`.
    standardised
        Whether data has mean 0 and variance 1. Then the heads start from zero and add to the best linear
        velocity, and the blocks start as the identity (AdaLN-Zero); else every layer starts as published.
    meeting
        As in `GeneModulation`.
    inverse_task
        Whether it holds the weights of scDFM's other task (naming the perturbation), which nothing uses.
    cell_contexts
        Cell lines or the like that are told apart; 0 where there is one.
    """

    n_tokens: int
    width: int = 64
    heads: int = 2
    layers: int = 1
    dropout: float = 0.0
    latent: int = 0
    told: int = 0
    panel: int = 0
    readout_width: int = 64
    readout_vector: int = 16
    graph: bool = True
    time_scale: float = 1000.0
    standardised: bool = True
    meeting: int = 0
    inverse_task: bool = False
    cell_contexts: int = 0

    @property
    def readout(self) -> ReadoutShape:
        """Of the centre: it reads the shapes that are told, and the latent with its time."""
        latents = self.latent + 1 if self.latent else 0
        inputs = self.told - 1 - self.latent + latents
        return ReadoutShape(inputs, self.panel, self.readout_width, self.readout_vector)


class Encoded(NamedTuple):
    """What does not depend on the cell or the time: computed once per step and once per prediction."""

    genes: Tensor
    """Vectors of the genes given, (genes, width)."""
    perturbation: Tensor
    """Mean vector of the perturbed genes, (cells, width), or (1, width) where all cells share one; with the
    vector of the cell context added, where there are several."""
    places: Tensor
    """Places of the genes in the panel, which are their tokens, (genes,)."""


class Head(nn.Module):
    """Three linear layers with leaky ReLU from a token and the perturbation to `outputs` numbers."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * width, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor, perturbation: Tensor) -> Tensor:
        """Map tokens (cells, genes, width) to (cells, genes, outputs)."""
        hidden = functional.leaky_relu(joined_linear(self.first, tokens, perturbation))
        return self.last(functional.leaky_relu(self.second(hidden)))


class Flow(nn.Module):
    """Velocity of expression, and of latents where there are any, each at its own time.

    The tokens of the noisy cell and of the control cell (gene vector plus encoded value) are merged; the
    encoded latent is added. Without latents the condition of the blocks is emb(t), as in scDFM; with them
    it is emb(t_expr) + emb(t_latent) + perturbation.

    Parameters
    ----------
    shape
        Sizes.
    """

    def __init__(self, shape: FlowShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.genes = GeneEncoder(shape.n_tokens, width, shape.heads, shape.dropout, shape.graph)
        self.noisy_value = ValueEncoder(1, width, shape.dropout)
        self.control_value = ValueEncoder(1 + shape.told, width, shape.dropout)
        self.fusion = Fusion(width)
        self.expression_time = TimeEmbedding(width, shape.time_scale)
        self.layers = nn.ModuleList(
            BackboneLayer(width, shape.heads, depth, shape.dropout, shape.meeting)
            for depth in range(shape.layers)
        )
        self.expression_head = Head(width, 1)
        if shape.latent:
            self.latent_value = nn.Linear(shape.latent, width)
            self.latent_time = TimeEmbedding(width, shape.time_scale)
            self.latent_head = Head(width, shape.latent)
        if shape.told:
            self.centre = Centre(shape.readout, shape.latent)
        if shape.cell_contexts:
            self.cell_contexts = CellContextEncoder(shape.cell_contexts, width)
        if shape.inverse_task:
            self.perturbation_embedding = nn.Embedding(shape.n_tokens, width)
            self.perturbation_embedding_norm = nn.LayerNorm(width)
            self.perturbation_norm = nn.LayerNorm(width)
            self.perturbation_head = nn.Linear(width, width)
            self.masked_perturbation = nn.Parameter(torch.zeros(width))
        self._initialise()

    def encode(self, genes: Tensor, perturbation: Tensor) -> Encoded:
        """Encode the tokens of the genes given (genes,) and of perturbations (cells or 1, 2).

        Where there are several cell contexts the number of each stands behind the tokens, (cells or 1, 3).
        """
        pairs = perturbation[:, :2]
        vectors = self.genes(torch.cat([genes, pairs.flatten()]))
        perturbed = vectors[len(genes) :].unflatten(0, pairs.shape).mean(dim=1)
        if self.shape.cell_contexts:
            perturbed = perturbed + self.cell_contexts(perturbation[:, 2])
        return Encoded(vectors[: len(genes)], perturbed, genes)

    def forward(
        self,
        x_t: Tensor,
        x_ctrl: Tensor,
        encoded: Encoded,
        t_expr: Tensor,
        z_t: Tensor | None = None,
        t_latent: Tensor | None = None,
        context: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Predict both velocities.

        Parameters
        ----------
        x_t
            Noisy expression, (cells, genes).
        x_ctrl
            The control side, (cells, genes, 1 + told).
        encoded
            What `encode` gave for these genes and perturbations.
        t_expr, t_latent
            Times of the two streams, (cells,).
        z_t
            Noisy latents, (cells, genes, latent).
        context
            Positions among the genes given that attention reads from; None for all.

        Returns
        -------
        tuple
            v_expr (cells, genes) and v_latent (cells, genes, latent), or None without latents.
        """
        gene, perturbed, places = encoded
        control = gene + self.control_value(x_ctrl)
        tokens = self.fusion(gene + self.noisy_value(x_t.unsqueeze(-1)), control)
        condition = self.expression_time(t_expr)
        if z_t is not None and t_latent is not None:
            tokens = tokens + self.latent_value(z_t)
            condition = condition + self.latent_time(t_latent) + perturbed
        for layer in self.layers:
            tokens = layer(tokens, control, condition, gene, perturbed, context)
        v_expr = self.expression_head(tokens, perturbed).squeeze(-1)
        v_latent = None if z_t is None else self.latent_head(tokens, perturbed)
        if not self.shape.standardised:
            return v_expr, v_latent
        expression, latent = self._around(x_ctrl[..., 1:], places, z_t, t_latent)
        v_expr = v_expr + linear_velocity(x_t, t_expr, *expression)
        if v_latent is not None and z_t is not None and t_latent is not None:
            v_latent = v_latent + linear_velocity(z_t, t_latent, *latent)
        return v_expr, v_latent

    def _around(
        self, told: Tensor, genes: Tensor, z_t: Tensor | None, t_latent: Tensor | None
    ) -> tuple[Around, Around]:
        """Mean and deviation of expression and of latents: of what is told, else of standardised data."""
        if not self.shape.told:
            return (0.0, 1.0), (0.0, 1.0)
        centre = self.centre
        mean = centre(told, genes, z_t, t_latent)
        return (mean, centre.spread[genes]), (centre.of_latent(told), centre.latent_spread[genes])

    @torch.no_grad()
    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if not self.shape.standardised:
            return
        self.genes.norm.weight.fill_(GENE_SPREAD)
        heads = [self.expression_head, *([self.latent_head] if self.shape.latent else [])]
        blocks = [block for layer in self.layers for block in (layer.self_block, layer.cross_block)]
        for last in [*(head.last for head in heads), *(block.condition for block in blocks)]:
            nn.init.zeros_(last.weight)


def choose_context(n_genes: int, size: int, generator: torch.Generator) -> Tensor | None:
    """Draw the positions of genes that attention reads from; None where that is all of them."""
    return None if size >= n_genes else torch.randperm(n_genes, generator=generator)[:size]


def build_flow(shape: FlowShape, seed: int) -> Flow:
    """Build an untrained flow; the global random state is left as it was."""
    with seeded(seed):
        return Flow(shape)


def count_parameters(shape: FlowShape) -> int:
    """Parameters that are learned for a flow of this shape, counted without allocating them."""
    with seeded(0), torch.device("meta"):
        return sum(part.numel() for part in Flow(shape).parameters())
