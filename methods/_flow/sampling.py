"""Cascaded sampling: the latent is finished before expression moves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchdiffeq import odeint

from methods._flow.backbone import TwoStreamFlow, choose_context
from methods._flow.paths import gaussian

Velocity = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Solver:
    """How one flow is integrated from noise at time 0 to data at time 1.

    Attributes
    ----------
    name
        A fixed-step solver of torchdiffeq: ``euler``, ``midpoint`` or ``rk4``.
    steps
        Number of equal steps.
    """

    name: str
    steps: int

    def integrate(self, rate: Callable[[Tensor, Tensor], Tensor], start: Tensor) -> Tensor:
        """Follow dy/dt = rate(t, y) from `start` at time 0 and return y at time 1."""
        times = torch.tensor([0.0, 1.0], device=start.device)
        return odeint(rate, start, times, method=self.name, options={"step_size": 1 / self.steps})[-1]


def sample_cascade(velocity: Velocity, x0: Tensor, z0: Tensor, latent: Solver, expression: Solver) -> Tensor:
    """Turn noise into expression, latent first.

    Parameters
    ----------
    velocity
        Gives (v_expr, v_latent) from x_t (cells, genes), z_t (cells, genes, d), t_expr and t_latent (cells,).
    x0, z0
        Noise of expression and of latents.
    latent, expression
        How each flow is integrated.

    Returns
    -------
    Tensor
        Expression at time 1, (cells, genes).
    """
    rest, done = x0.new_zeros(len(x0)), x0.new_ones(len(x0))
    z1 = latent.integrate(lambda t, z: velocity(x0, z, rest, t.expand(len(x0)))[1], z0)
    return expression.integrate(lambda t, x: velocity(x, z1, t.expand(len(x0)), done)[0], x0)


@torch.no_grad()
def sample_cells(
    flow: TwoStreamFlow,
    control: Tensor,
    perturbation: Tensor,
    generator: torch.Generator,
    latent: Solver,
    expression: Solver,
    context_genes: int,
) -> Tensor:
    """Sample one perturbed cell for each control cell, all genes at once.

    Parameters
    ----------
    flow
        A trained flow; where it is, the work is done.
    control
        Standardised expression of control cells, (cells, genes).
    perturbation
        Tokens of the perturbed genes, (1, 2).
    generator
        Draws the noise, and the genes that attention reads from.
    latent, expression
        How each flow is integrated.
    context_genes
        How many genes attention reads from.

    Returns
    -------
    Tensor
        Standardised expression, (cells, genes), on the CPU.
    """
    device = flow.tokens.weight.device
    n_genes = control.shape[1]
    x0 = gaussian(control.shape, generator).to(device)
    z0 = gaussian((*control.shape, flow.shape.latent), generator).to(device)
    context = choose_context(n_genes, context_genes, generator)

    def velocity(x: Tensor, z: Tensor, t_expr: Tensor, t_latent: Tensor) -> tuple[Tensor, Tensor]:
        return flow(x, z, t_expr, t_latent, x_ctrl=x_ctrl, perturbation=tokens, genes=genes, context=context)

    x_ctrl, tokens, genes = control.to(device), perturbation.to(device), torch.arange(n_genes, device=device)
    return sample_cascade(velocity, x0, z0, latent, expression).cpu()


def non_negative(cells: Tensor) -> Tensor:
    """Clamp cells at zero without moving the mean of any gene.

    Clamping alone lifts the mean of every gene with negative samples. Here each gene's values are first
    lowered by the one amount that undoes this: the nearest non-negative values of the same sum, which is
    the projection on a simplex (Held, Wolfe and Crowder 1974). A gene of negative mean becomes zero.

    Parameters
    ----------
    cells
        Sampled expression, (cells, genes).
    """
    ordered = cells.double().sort(dim=0, descending=True).values
    counts = torch.arange(1, len(cells) + 1, device=cells.device).unsqueeze(1)
    lowered = (ordered.cumsum(0) - ordered.sum(0).clamp(min=0)) / counts
    support = (ordered > lowered).sum(0, keepdim=True).clamp(min=1)
    amount = lowered.gather(0, support - 1).clamp(min=0)
    return (cells - amount).clamp(min=0).to(cells.dtype)


def seeded_generator(seed: int, label: str) -> torch.Generator:
    """Randomness for one perturbation: the same whatever else is asked for."""
    digest = hashlib.sha256(f"{seed}:{label}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
