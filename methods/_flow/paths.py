"""The straight path from noise to data (Lipman et al. 2023; Liu et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

SPREAD = 0.5
"""Standard deviation of the logarithm of a rate, where noise looks like cells."""


def at_time(noise: Tensor, data: Tensor, times: Tensor) -> Tensor:
    """Point of the path, (1 - t) noise + t data, with one time per cell (cells,)."""
    t = times.view(-1, *[1] * (data.ndim - 1))
    return torch.lerp(noise, data, t.to(data.dtype))


def velocity(noise: Tensor, data: Tensor) -> Tensor:
    """Velocity of the path, the same at all times: data - noise."""
    return data - noise


def linear_velocity(
    points: Tensor, times: Tensor, mean: Tensor | float = 0.0, deviation: Tensor | float = 1.0
) -> Tensor:
    """Best velocity for normal data: m + k(t) (x - t m), k = (t s^2 - (1 - t)) / ((1 - t)^2 + t^2 s^2).

    For independent noise and data of mean m and variance s^2, k = Cov(data - noise, x_t) / Var(x_t). Data
    that is standardised, or lies around a mean that is known, is near to this, so that a network is left to
    learn only how it differs.

    Parameters
    ----------
    points
        x_t, (cells, ...).
    times
        (cells,).
    mean, deviation
        m and s, broadcast with the points.
    """
    t = times.view(-1, *[1] * (points.ndim - 1))
    variance = deviation**2
    slope = (t * variance - (1 - t)) / ((1 - t).square() + t.square() * variance)
    return mean + slope * (points - t * mean)


def gaussian(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal noise on the CPU, the same on every device for the same generator."""
    return torch.randn(shape, generator=generator)


def counts_around(expression: Tensor, generator: torch.Generator) -> Tensor:
    """Noise that looks like cells: log1p of Poisson counts whose rates vary log-normally around given ones.

    Parameters
    ----------
    expression
        log1p of rates, such as that of control cells, any shape; the rates keep their mean.
    generator
        On the CPU.
    """
    normal = torch.randn(expression.shape, generator=generator)
    rates = expression.clamp(min=0).expm1() * torch.exp(SPREAD * normal - SPREAD**2 / 2)
    return torch.poisson(rates, generator=generator).log1p()


def antithetic(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal noise whose second half is the first one negated, cell by cell.

    Each cell by itself is as random as ever, but the noise of a mean over all cells cancels where the flow
    is linear: twice as many cells would be needed, or more, for means as sharp (Hammersley and Morton 1956).

    Parameters
    ----------
    shape
        (cells, ...); of an odd number the last cell stands alone.
    generator
        On the CPU.
    """
    half = torch.randn((shape[0] // 2, *shape[1:]), generator=generator)
    single = torch.randn((shape[0] % 2, *shape[1:]), generator=generator)
    return torch.cat([half, -half, single])
