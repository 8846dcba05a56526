"""Sampling: from noise to expression, with latents before, after or beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torchdiffeq import odeint

from methods._flow.backbone import Flow
from methods._flow.paths import linear_velocity
from methods._flow.precision import Precision, autocast

Velocity = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Order = Literal["latent_first", "expression_first", "joint"]
Sampler = Callable[[Velocity, Tensor, Tensor, "Solver", "Solver"], Tensor]


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

    def path(self, rate: Callable, start: Tensor) -> Tensor:
        """Follow dy/dt = rate(t, y) from `start` at time 0; y at the start and after each step."""
        return odeint(
            rate, start, torch.arange(self.steps + 1, device=start.device) / self.steps, method=self.name
        )

    def integrate(self, rate: Callable, start: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Follow dy/dt = rate(t, y) from `start` at time 0 and return y at time 1."""
        first = start if isinstance(start, Tensor) else start[0]
        times = torch.tensor([0.0, 1.0], device=first.device)
        # Given as a size, some numbers of steps (61, 109) would be rounded to one more.
        grid = torch.arange(self.steps + 1, device=first.device) / self.steps
        path = odeint(rate, start, times, method=self.name, options={"grid_constructor": lambda *_: grid})
        return path[-1] if isinstance(path, Tensor) else tuple(part[-1] for part in path)


def latent_first(velocity: Velocity, x0: Tensor, z0: Tensor, latent: Solver, expression: Solver) -> Tensor:
    """Finish the latent with expression at rest, then move expression: the cascade.

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


def expression_first(
    velocity: Velocity, x0: Tensor, z0: Tensor, latent: Solver, expression: Solver
) -> Tensor:
    """Move expression with the latent at rest; see `latent_first`.

    The latent would follow, and change nothing of expression, so it is left out.
    """
    rest = x0.new_zeros(len(x0))
    return expression.integrate(lambda t, x: velocity(x, z0, t.expand(len(x0)), rest)[0], x0)


def joint(velocity: Velocity, x0: Tensor, z0: Tensor, latent: Solver, expression: Solver) -> Tensor:
    """Move both at the same time, in as many steps as the cascade takes in all; see `latent_first`."""
    solver = Solver(expression.name, latent.steps + expression.steps)

    def rate(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        time = t.expand(len(x0))
        return velocity(*state, time, time)

    return solver.integrate(rate, (x0, z0))[0]


SAMPLERS: dict[str, Sampler] = {
    "latent_first": latent_first,
    "expression_first": expression_first,
    "joint": joint,
}


@dataclass(frozen=True)
class SamplingOptions:
    """How cells are sampled.

    Attributes
    ----------
    latent, expression
        How each flow is integrated.
    order
        Which of the two comes first; of no meaning without latents.
    precision
        As in `autocast`.
    """

    latent: Solver
    expression: Solver
    order: Order
    precision: Precision


@torch.no_grad()
def sample_expression(
    flow: Flow,
    x_ctrl: Tensor,
    perturbation: Tensor,
    x0: Tensor,
    z0: Tensor | None,
    context: Tensor | None,
    options: SamplingOptions,
) -> Tensor:
    """Sample one perturbed cell for each control cell, all genes at once.

    Parameters
    ----------
    flow
        A trained flow; where it is, the work is done. Genes are encoded once.
    x_ctrl
        The control side, (cells, genes, values).
    perturbation
        Tokens of the perturbed genes, (1, 2).
    x0, z0
        Noise of expression (cells, genes) and of latents (cells, genes, d), or None without latents.
    context
        Positions of the genes that attention reads from, or None for all.
    options
        How.

    Returns
    -------
    Tensor
        Expression in the flow's units, float32 (cells, genes), on the CPU.
    """
    device = next(flow.parameters()).device
    x0 = x0.to(device)
    with autocast(device, options.precision):
        velocity = _velocity(flow, x_ctrl.to(device), perturbation, context)
        if z0 is None:
            alone = options.expression.integrate(
                lambda t, x: velocity(x, None, t.expand(len(x0)), None)[0], x0
            )
            return alone.cpu()
        sampler = SAMPLERS[options.order]
        return sampler(velocity, x0, z0.to(device), options.latent, options.expression).cpu()


@torch.no_grad()
def sample_mean(
    flow: Flow,
    x_ctrl: Tensor,
    perturbation: Tensor,
    x0: Tensor,
    z0: Tensor,
    context: Tensor | None,
    options: SamplingOptions,
) -> Tensor:
    """Follow the centre of a flow to its end, on latents that are sampled: the mean it generates around.

    Parameters
    ----------
    flow
        One with a centre.
    x_ctrl, perturbation, x0, z0, context, options
        As in `sample_expression`.

    Returns
    -------
    Tensor
        Mean over the control cells in the flow's units, float32 (genes,), on the CPU.
    """
    device = next(flow.parameters()).device
    x0, given = x0.to(device), x_ctrl.to(device)
    genes, z0 = torch.arange(given.shape[1], device=device), z0.to(device)
    at_rest = torch.zeros_like(x0)
    if not flow.centre.reads_latent:  # the path to a mean that stays ends there, in full precision
        return flow.centre(given[..., 1:], genes, z0, at_rest[:, 0]).mean(0).float().cpu()
    with autocast(device, options.precision):
        whole = _velocity(flow, given, perturbation, context)

        def velocity(x: Tensor, z: Tensor, t_expr: Tensor, t_latent: Tensor) -> tuple[Tensor, Tensor]:
            noisy = x + (1 - t_expr).unsqueeze(1) * x0
            finished = bool((t_latent == 1).all())
            v_latent = torch.zeros_like(z) if finished else whole(noisy, z, t_expr, t_latent)[1]
            centre = flow.centre(given[..., 1:], genes, z, t_latent)
            return linear_velocity(x, t_expr, centre, flow.centre.spread), v_latent

        sampler = SAMPLERS[options.order]
        return sampler(velocity, at_rest, z0, options.latent, options.expression).mean(0).float().cpu()


@torch.no_grad()
def trace_cascade(
    flow: Flow,
    x_ctrl: Tensor,
    perturbation: Tensor,
    x0: Tensor,
    z0: Tensor,
    context: Tensor | None,
    options: SamplingOptions,
) -> tuple[Tensor, Tensor]:
    """Follow what `sample_expression` does with the order ``latent_first``, and keep every step of it.

    Returns
    -------
    tuple
        Latents (points, cells, genes, d) and expression (points, cells, genes) in the flow's units, on the
        CPU, each from noise at time 0 to time 1.
    """
    device = next(flow.parameters()).device
    x0 = x0.to(device)
    rest, done = x0.new_zeros(len(x0)), x0.new_ones(len(x0))
    with autocast(device, options.precision):
        velocity = _velocity(flow, x_ctrl.to(device), perturbation, context)
        latent = options.latent.path(lambda t, z: velocity(x0, z, rest, t.expand(len(x0)))[1], z0.to(device))
        expression = options.expression.path(
            lambda t, x: velocity(x, latent[-1], t.expand(len(x0)), done)[0], x0
        )
    return latent.cpu(), expression.cpu()


def _velocity(flow: Flow, given: Tensor, perturbation: Tensor, context: Tensor | None) -> Velocity:
    """Both velocities of a flow for given control cells and one perturbation; genes are encoded once."""
    genes = torch.arange(given.shape[1], device=given.device)
    encoded = flow.encode(genes, perturbation.to(given.device))

    def velocity(
        x: Tensor, z: Tensor | None, t_expr: Tensor, t_latent: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        v_expr, v_latent = flow(x, given, encoded, t_expr, z, t_latent, context)
        return v_expr.float(), None if v_latent is None else v_latent.float()

    return velocity


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
