"""Cascaded sampling: the latent is finished before expression moves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchdiffeq import odeint

Velocity = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class SamplingOptions:
    """How the two flows are integrated.

    Attributes
    ----------
    solver
        A fixed-step solver of torchdiffeq: ``euler``, ``midpoint`` or ``rk4``.
    latent_steps, expression_steps
        Steps from noise to data of each stream.
    """

    solver: str = "midpoint"
    latent_steps: int = 2
    expression_steps: int = 4


def integrate(rate: Callable[[Tensor, Tensor], Tensor], start: Tensor, steps: int, solver: str) -> Tensor:
    """Follow dy/dt = rate(t, y) from time 0 to 1 in equal steps and return the end."""
    times = torch.tensor([0.0, 1.0], device=start.device)
    return odeint(rate, start, times, method=solver, options={"step_size": 1 / steps})[-1]


def sample_cascade(velocity: Velocity, x0: Tensor, z0: Tensor, options: SamplingOptions) -> Tensor:
    """Turn noise into expression, latent first.

    Parameters
    ----------
    velocity
        Gives (v_expr, v_latent) from x_t (cells, genes), z_t (cells, genes, d), t_expr and t_latent (cells,).
    x0, z0
        Noise of expression and of latents.
    options
        Solver and steps.

    Returns
    -------
    Tensor
        Expression at time 1, (cells, genes).
    """
    rest, done = x0.new_zeros(len(x0)), x0.new_ones(len(x0))
    z1 = integrate(
        lambda t, z: velocity(x0, z, rest, t.expand(len(x0)))[1], z0, options.latent_steps, options.solver
    )
    return integrate(
        lambda t, x: velocity(x, z1, t.expand(len(x0)), done)[0], x0, options.expression_steps, options.solver
    )


def seeded_generator(seed: int, label: str) -> torch.Generator:
    """Randomness for one perturbation: the same whatever else is asked for."""
    digest = hashlib.sha256(f"{seed}:{label}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
