"""What GRNFlow learns: the velocities of latents and of expression, at times drawn for an order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from methods._flow.backbone import Flow, choose_context
from methods._flow.paths import at_time, gaussian, velocity
from methods._flow.pool import CellPool, random_genes
from methods._flow.precision import Precision, autocast


@dataclass(frozen=True)
class CascadeOptions:
    """How batches are drawn.

    Attributes
    ----------
    batch_size, genes_per_step, context_genes
        Cells of a step, genes of its random subset, and how many of them attention reads.
    latent_probability
        Of the coin: how often a cell trains the latent flow.
    latent_floor
        Expression is trained with t_latent uniform in [latent_floor, 1].
    token_dropout
        How often a perturbed gene is hidden behind the token of unknown genes.
    precision
        As in `autocast`.
    """

    batch_size: int
    genes_per_step: int
    context_genes: int
    latent_probability: float
    latent_floor: float
    token_dropout: float
    precision: Precision


class Times(NamedTuple):
    """Times of both streams, and which of them each cell trains, all (cells,)."""

    t_expr: Tensor
    t_latent: Tensor
    trains_expression: Tensor
    trains_latent: Tensor


TimeRule = Callable[[int, CascadeOptions, torch.Generator], Times]


def cascaded_times(cells: int, options: CascadeOptions, generator: torch.Generator) -> Times:
    """Throw a coin for each cell: latents with expression at rest, or expression with latents nearly done.

    The recipe of Latent Forcing: the nearly finished latent is noised a little, so that expression does not
    rely on it blindly.
    """
    coin, uniform = torch.rand(2, cells, generator=generator)
    latent = coin < options.latent_probability
    late = options.latent_floor + (1 - options.latent_floor) * torch.rand(cells, generator=generator)
    t_expr = torch.where(latent, torch.zeros(cells), uniform)
    return Times(t_expr, torch.where(latent, uniform, late), ~latent, latent)


def independent_times(cells: int, options: CascadeOptions, generator: torch.Generator) -> Times:
    """Draw both times alone, and train both streams: the weights then serve any order (Diffusion Forcing)."""
    t_expr, t_latent = torch.rand(2, cells, generator=generator)
    everywhere = torch.ones(cells, dtype=torch.bool)
    return Times(t_expr, t_latent, everywhere, everywhere)


@dataclass(frozen=True)
class CascadeBatch:
    """One step's cells: where both paths begin and end, control side, times, genes, tokens and context."""

    x0: Tensor
    x1: Tensor
    z0: Tensor
    z1: Tensor
    x_ctrl: Tensor
    times: Times
    genes: Tensor
    tokens: Tensor
    context: Tensor | None


@dataclass(frozen=True)
class CascadeObjective:
    """Velocity matching of two streams on batches of mixed perturbations.

    Both streams learn of the same perturbation but of different cells: the latent is that of another cell.
    A cell's own attention holds the very expression that is to be predicted, which at inference nobody
    knows; a flow that learns to read it there does worse the longer it is trained.

    Attributes
    ----------
    pool
        Training cells with latents.
    options
        How batches are drawn.
    times
        Draws both times.
    control_token, unknown_token
        Tokens of the vocabulary that are no genes.
    """

    pool: CellPool
    options: CascadeOptions
    times: TimeRule
    control_token: int
    unknown_token: int

    def draw(self, generator: torch.Generator) -> CascadeBatch:
        """Draw a batch of mixed perturbations."""
        pool, options = self.pool, self.options
        assert pool.partner is not None
        kinds = pool.draw_perturbations(options.batch_size, generator)
        rows = pool.draw_cells(kinds, generator)
        genes = random_genes(pool.n_genes, options.genes_per_step, generator)
        times = self.times(options.batch_size, options, generator)
        tokens = self._hide(pool.tokens[kinds], generator)
        x1 = pool.targets(rows, genes)
        z1 = pool.draw_latents(kinds, generator)[:, genes]
        x0, z0 = gaussian(x1.shape, generator), gaussian(z1.shape, generator)
        context = choose_context(len(genes), options.context_genes, generator)
        x_ctrl = pool.control_side(pool.partner[rows], kinds, genes)
        return CascadeBatch(x0, x1, z0, z1, x_ctrl, times, genes, tokens, context)

    def losses(self, flow: Flow, batch: CascadeBatch, device: torch.device) -> dict[str, Tensor]:
        """Compare velocities.

        Returns
        -------
        dict
            ``loss``, what is minimised; ``expr_r2`` and ``latent_r2``, see `cascade_losses`.
        """
        times = batch.times
        x_t = at_time(batch.x0, batch.x1, times.t_expr)
        z_t = at_time(batch.z0, batch.z1, times.t_latent)
        with autocast(device, self.options.precision):
            v_expr, v_latent = flow(
                x_t.to(device),
                batch.x_ctrl.to(device),
                flow.encode(batch.genes.to(device), batch.tokens.to(device)),
                times.t_expr.to(device),
                z_t.to(device),
                times.t_latent.to(device),
                batch.context,
            )
        target_expr, target_latent = velocity(batch.x0, batch.x1), velocity(batch.z0, batch.z1)
        return cascade_losses(v_expr, v_latent, target_expr.to(device), target_latent.to(device), times)

    def _hide(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Replace some perturbed genes by the unknown token: unseen genes get an average perturbation."""
        hidden = torch.rand(tokens.shape, generator=generator) < self.options.token_dropout
        hidden &= tokens != self.control_token
        hidden[:, 2:] = False  # what is no gene is the number of a cell context
        return torch.where(hidden, torch.full_like(tokens, self.unknown_token), tokens)


def cascade_losses(
    v_expr: Tensor, v_latent: Tensor, target_expr: Tensor, target_latent: Tensor, times: Times
) -> dict[str, Tensor]:
    """Squared error of each velocity over the cells that train it, and its R^2.

    Losses of data on different scales do not compare; R^2 = 1 - error / mean square of the target does.

    Returns
    -------
    dict
        ``loss``: the errors of both streams, added over cells and divided by how many errors there are;
        ``expr_r2`` and ``latent_r2``: NaN where no cell trains the stream.
    """
    device = v_expr.device
    expression, latent = times.trains_expression.to(device), times.trains_latent.to(device)
    expr_error = (v_expr.float() - target_expr).square().mean(dim=1) * expression
    latent_error = (v_latent.float() - target_latent).square().mean(dim=(1, 2)) * latent
    expr_scale = (target_expr.square().mean(dim=1) * expression).sum()
    latent_scale = (target_latent.square().mean(dim=(1, 2)) * latent).sum()
    return {
        "loss": (expr_error.sum() + latent_error.sum()) / (expression.sum() + latent.sum()),
        "expr_r2": 1 - expr_error.detach().sum() / expr_scale,
        "latent_r2": 1 - latent_error.detach().sum() / latent_scale,
    }
