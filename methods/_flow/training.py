"""Cascaded training: for each cell either the latent flow or the expression flow, by a coin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from methods._flow.backbone import TwoStreamFlow, choose_context
from methods._flow.paths import at_time, gaussian, velocity


@dataclass(frozen=True)
class PairedCells:
    """Training pairs, those of one perturbation next to each other.

    Attributes
    ----------
    control, perturbed
        Standardised expression of paired cells, (pairs, genes).
    latent
        Standardised latents of the pairs, (pairs, genes, d), float16 or float32.
    tokens
        Tokens of each pair's perturbation, (pairs, 2).
    first, size
        For each pair, the first pair of its perturbation and how many it has, (pairs,).
    """

    control: Tensor
    perturbed: Tensor
    latent: Tensor
    tokens: Tensor
    first: Tensor
    size: Tensor


@dataclass(frozen=True)
class SpecialTokens:
    """Tokens of the vocabulary that are no genes: `control` and unknown genes."""

    control: int
    unknown: int


@dataclass(frozen=True)
class TrainingOptions:
    """How a flow is trained.

    Attributes
    ----------
    steps, batch_size, genes_per_step, context_genes
        Steps, pairs per step, genes of the random subset of a step, and how many of them attention reads.
    learning_rate, weight_decay, gradient_norm
        AdamW's with a cosine schedule to zero, and where gradients are clipped.
    average
        Decay of the exponential moving average of the weights.
    latent_probability
        Of the coin: how often a cell trains the latent flow.
    latent_floor
        Expression is trained with t_latent uniform in [latent_floor, 1].
    token_dropout
        How often a perturbed gene is hidden behind the token of unknown genes.
    """

    steps: int
    batch_size: int
    genes_per_step: int
    context_genes: int
    learning_rate: float
    weight_decay: float
    gradient_norm: float
    average: float
    latent_probability: float
    latent_floor: float
    token_dropout: float


def draw_times(
    cells: int, options: TrainingOptions, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Throw the coin and draw both times for each cell.

    Returns
    -------
    tuple of Tensor
        Whether the cell trains the latent flow (boolean), t_expr and t_latent, each (cells,).
    """
    coin, uniform = torch.rand(2, cells, generator=generator)
    trains_latent = coin < options.latent_probability
    late = options.latent_floor + (1 - options.latent_floor) * torch.rand(cells, generator=generator)
    t_expr = torch.where(trains_latent, torch.zeros(cells), uniform)
    t_latent = torch.where(trains_latent, uniform, late)
    return trains_latent, t_expr, t_latent


def cascade_losses(
    v_expr: Tensor, v_latent: Tensor, target_expr: Tensor, target_latent: Tensor, trains_latent: Tensor
) -> dict[str, Tensor]:
    """Squared error of each velocity over the cells that train it, and its R^2 against guessing zero.

    Returns
    -------
    dict
        ``loss``: what is minimised, the two errors weighted by their shares of the cells;
        ``expr_r2``, ``latent_r2``: 1 - error / mean square of the target, NaN where no cell trains it.
    """
    latent_error = (v_latent.float() - target_latent).square().mean(dim=(1, 2))
    expr_error = (v_expr.float() - target_expr).square().mean(dim=1)
    error = torch.where(trains_latent, latent_error, expr_error)
    latent_scale = target_latent.square().mean(dim=(1, 2))[trains_latent].sum()
    expr_scale = target_expr.square().mean(dim=1)[~trains_latent].sum()
    return {
        "loss": error.mean(),
        "expr_r2": 1 - expr_error[~trains_latent].detach().sum() / expr_scale,
        "latent_r2": 1 - latent_error[trains_latent].detach().sum() / latent_scale,
    }


def train_flow(
    flow: TwoStreamFlow,
    averaged: TwoStreamFlow,
    pairs: PairedCells,
    special: SpecialTokens,
    options: TrainingOptions,
    generator: torch.Generator,
) -> Iterator[tuple[int, dict[str, float]]]:
    """Train `flow` in place, and keep the moving average of its weights in `averaged`.

    Every batch mixes perturbations, each as likely as any other; every step takes a random subset of the
    genes. The latent flow learns the latent of the cell's own pair. The expression flow is given that of a
    random pair of the same perturbation: a pair's own attention holds the very expression that is to be
    predicted, which at inference nobody knows, and a flow that learns to read it there does worse the
    longer it is trained (`carpool_semi`, 200 genes, validation MSE .028 against .016).

    On CUDA the forward pass runs in bfloat16; on CPUs without bfloat16 units that was measured to be slower
    than float32, so float32 is used there.

    Yields
    ------
    tuple
        The number of steps done, and ``loss``, ``expr_r2``, ``latent_r2`` of the step.
    """
    device = flow.tokens.weight.device
    n_genes = pairs.latent.shape[1]
    subset = min(options.genes_per_step, n_genes)
    optimiser = torch.optim.AdamW(
        flow.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.learning_rate, total_steps=options.steps, pct_start=0.05, cycle_momentum=False
    )
    for step in range(1, options.steps + 1):
        rows = torch.multinomial(1 / pairs.size, options.batch_size, replacement=True, generator=generator)
        genes = torch.randperm(n_genes, generator=generator)[:subset]
        trains_latent, t_expr, t_latent = draw_times(options.batch_size, options, generator)
        tokens = hide_tokens(pairs.tokens[rows], special, options.token_dropout, generator)
        told = torch.where(trains_latent, rows, another_pair(pairs, rows, generator))
        x1, z1 = pairs.perturbed[rows][:, genes], pairs.latent[told][:, genes].float()
        x0, z0 = gaussian(x1.shape, generator), gaussian(z1.shape, generator)
        given = [at_time(x0, x1, t_expr), at_time(z0, z1, t_latent), t_expr, t_latent]
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            v_expr, v_latent = flow(
                *(part.to(device) for part in given),
                x_ctrl=pairs.control[rows][:, genes].to(device),
                perturbation=tokens.to(device),
                genes=genes.to(device),
                context=choose_context(subset, options.context_genes, generator),
            )
        targets = (velocity(x0, x1).to(device), velocity(z0, z1).to(device))
        losses = cascade_losses(v_expr, v_latent, *targets, trains_latent.to(device))
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), options.gradient_norm)
        optimiser.step()
        schedule.step()
        update_average(averaged, flow, min(options.average, step / (step + 10)))
        yield step, {name: value.item() for name, value in losses.items() if value.isfinite()}


def another_pair(pairs: PairedCells, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Draw for each pair any pair of the same perturbation."""
    size = pairs.size[rows]
    return pairs.first[rows] + (torch.rand(len(rows), generator=generator) * size).long().clamp(max=size - 1)


def hide_tokens(tokens: Tensor, special: SpecialTokens, share: float, generator: torch.Generator) -> Tensor:
    """Replace some perturbed genes by the unknown token, so that unseen genes get an average perturbation."""
    hidden = (torch.rand(tokens.shape, generator=generator) < share) & (tokens != special.control)
    return torch.where(hidden, torch.full_like(tokens, special.unknown), tokens)


@torch.no_grad()
def update_average(averaged: TwoStreamFlow, flow: TwoStreamFlow, decay: float) -> None:
    """Move the averaged weights a step of 1 - decay towards the current ones."""
    torch._foreach_lerp_(list(averaged.parameters()), list(flow.parameters()), 1 - decay)
