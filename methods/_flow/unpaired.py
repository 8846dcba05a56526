"""What scDFM learns: perturbations with unpaired controls, by matching velocities and the MMD of the ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from methods._flow.backbone import Flow, choose_context
from methods._flow.mmd import mmd
from methods._flow.paths import at_time, counts_around, gaussian, velocity
from methods._flow.pool import CellPool, random_genes
from methods._flow.precision import Precision, autocast

Noise = Literal["gaussian", "poisson"]


@dataclass(frozen=True)
class UnpairedOptions:
    """How batches are drawn and what counts.

    Attributes
    ----------
    batch_size, genes_per_step, context_genes
        Cells of a step, genes of its random subset, and how many of them attention reads.
    perturbations_per_step
        Different perturbations of a step, with as many cells each, rounded down.
    mmd_weight
        Weight of the MMD beside the velocity loss.
    noise
        Where paths begin: standard normal, or counts around the control cell (`counts_around`).
    precision
        As in `autocast`.
    """

    batch_size: int
    genes_per_step: int
    context_genes: int
    perturbations_per_step: int
    mmd_weight: float
    noise: Noise
    precision: Precision


@dataclass(frozen=True)
class UnpairedBatch:
    """One step's cells: where paths begin and end, the control cells, times, genes, tokens and context.

    Cells of one perturbation stand together, as many of each, and every cell has tokens of its own, as in
    `CellPool`: so what is dropped of its perturbation in training is drawn for it alone, as published.
    """

    x0: Tensor
    x1: Tensor
    x_ctrl: Tensor
    times: Tensor
    genes: Tensor
    tokens: Tensor
    context: Tensor | None


@dataclass(frozen=True)
class UnpairedObjective:
    """scDFM's objective.

    Attributes
    ----------
    pool
        Training cells.
    options
        How batches are drawn and what counts.
    """

    pool: CellPool
    options: UnpairedOptions

    def draw(self, generator: torch.Generator) -> UnpairedBatch:
        """Draw a batch of different perturbations; controls of a context are drawn as they come."""
        pool, options = self.pool, self.options
        each = options.batch_size // options.perturbations_per_step
        several = torch.randperm(len(pool.size), generator=generator)[: options.perturbations_per_step]
        kinds = several.repeat_interleave(each)
        rows = pool.draw_cells(kinds, generator)
        controls = pool.draw_controls(kinds, generator)
        genes = random_genes(pool.n_genes, options.genes_per_step, generator)
        x1, x_ctrl = pool.targets(rows, genes), pool.control_side(controls, kinds, genes)
        x0 = start_noise(options.noise, x_ctrl[..., 0], generator)
        times = torch.rand(len(kinds), generator=generator)
        context = choose_context(len(genes), options.context_genes, generator)
        return UnpairedBatch(x0, x1, x_ctrl, times, genes, pool.tokens[kinds], context)

    def losses(self, flow: Flow, batch: UnpairedBatch, device: torch.device) -> dict[str, Tensor]:
        """Compare velocities, and the one-step ends as sets, those of each perturbation by themselves.

        Returns
        -------
        dict
            ``loss``, what is minimised; ``mmd``, its mean over perturbations; ``expr_r2``, 1 - error / mean
            square of the velocity.
        """
        options, times = self.options, batch.times
        x_t = at_time(batch.x0, batch.x1, times).to(device)
        with autocast(device, options.precision):
            encoded = flow.encode(batch.genes.to(device), batch.tokens.to(device))
            v_expr, _ = flow(x_t, batch.x_ctrl.to(device), encoded, times.to(device), context=batch.context)
        v_expr, target = v_expr.float(), velocity(batch.x0, batch.x1).to(device)
        error = (v_expr - target).square().mean()
        end = x_t + (1 - times.to(device)).unsqueeze(1) * v_expr
        apart = (options.perturbations_per_step, -1)
        discrepancy = mmd(end.unflatten(0, apart), batch.x1.to(device).unflatten(0, apart)).mean()
        return {
            "loss": error + options.mmd_weight * discrepancy,
            "mmd": discrepancy.detach(),
            "expr_r2": 1 - error.detach() / target.square().mean(),
        }


def start_noise(kind: Noise, x_ctrl: Tensor, generator: torch.Generator) -> Tensor:
    """Where the paths of cells begin, (cells, genes), on the CPU."""
    return gaussian(x_ctrl.shape, generator) if kind == "gaussian" else counts_around(x_ctrl, generator)
