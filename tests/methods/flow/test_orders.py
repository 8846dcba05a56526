"""From noise to data with velocities that are known: solvers, and three orders against closed forms."""

from __future__ import annotations

import pytest
import torch

from methods._flow.sampling import SAMPLERS, Solver, expression_first, joint, latent_first
from tests.methods.flow.flow_case import generator

ORDERS = ["latent_first", "expression_first", "joint"]
STAGES = {"euler": 1, "midpoint": 2, "rk4": 4}


def exact_velocity(mean: float, deviation: float):
    """Give the velocity that carries N(0, 1) to N(mean, deviation^2): that of x -> mean t + sigma(t) x.

    For independent ends x_t ~ N(mean t, (1 - t)^2 + t^2 deviation^2), and E[data - noise | x_t] =
    mean + (t deviation^2 - (1 - t)) / Var(x_t) (x_t - mean t).
    """

    def rate(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        variance = (1 - t) ** 2 + (t * deviation) ** 2
        return mean + (t * deviation**2 - (1 - t)) / variance * (x - mean * t)

    return rate


@pytest.mark.parametrize(
    ("solver", "steps", "tolerance"), [("euler", 400, 2e-2), ("midpoint", 40, 2e-3), ("rk4", 20, 1e-4)]
)
def test_exact_velocity_carries_one_gaussian_to_another(solver, steps, tolerance):
    """Each point x of N(0, 1) arrives at mean + deviation x."""
    start = torch.linspace(-3, 3, 7)
    end = Solver(solver, steps).integrate(exact_velocity(1.5, 0.4), start)
    torch.testing.assert_close(end, 1.5 + 0.4 * start, atol=tolerance, rtol=0)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 19, 49, 61, 109, 123])
@pytest.mark.parametrize("solver", STAGES)
def test_a_solver_takes_as_many_equal_steps_as_it_is_told(solver, steps):
    """Neither more nor less, whatever 1 / steps is rounded to."""
    times = []

    def rate(t, x):
        times.append(float(t))
        return torch.ones_like(x)

    end = Solver(solver, steps).integrate(rate, torch.zeros(2))
    assert len(times) == STAGES[solver] * steps
    starts = times[:: STAGES[solver]]
    assert starts == pytest.approx([step / steps for step in range(steps)], abs=1e-6)
    torch.testing.assert_close(end, torch.ones(2))


class Velocities:
    """Writes down states and times, and moves expression by 1 and latents by 2."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def __call__(self, x, z, t_expr, t_latent):
        assert t_expr.shape == t_latent.shape == (len(x),)
        assert len(set(t_expr.tolist())) == len(set(t_latent.tolist())) == 1
        self.calls.append((x.clone(), z.clone(), float(t_expr[0]), float(t_latent[0])))
        return torch.ones_like(x), 2 * torch.ones_like(z)

    @property
    def times(self) -> list[tuple[float, float]]:
        return [call[2:] for call in self.calls]


NOISE = (torch.randn(2, 3, generator=generator()), torch.randn(2, 3, 1, generator=generator(1)))


def test_latent_is_finished_before_expression_moves():
    """First x rests at its noise with t_expr = 0; then z is the finished latent with t_latent = 1."""
    (x0, z0), asked = NOISE, Velocities()
    end = latent_first(asked, x0, z0, latent=Solver("euler", 4), expression=Solver("euler", 2))
    assert asked.times == [(0.0, 0.0), (0.0, 0.25), (0.0, 0.5), (0.0, 0.75), (0.0, 1.0), (0.5, 1.0)]
    assert all(torch.equal(call[0], x0) for call in asked.calls[:5])
    for quarter in range(4):
        torch.testing.assert_close(asked.calls[quarter][1], z0 + quarter / 2)
    for call in asked.calls[4:]:
        torch.testing.assert_close(call[1], z0 + 2)
    torch.testing.assert_close(asked.calls[5][0], x0 + 0.5)
    torch.testing.assert_close(end, x0 + 1)


def test_expression_comes_first_with_the_latent_at_rest():
    """z stays its noise and t_latent 0; the latent that would follow is not asked for."""
    (x0, z0), asked = NOISE, Velocities()
    end = expression_first(asked, x0, z0, latent=Solver("euler", 4), expression=Solver("euler", 2))
    assert asked.times == [(0.0, 0.0), (0.5, 0.0)]
    assert all(torch.equal(call[1], z0) for call in asked.calls)
    torch.testing.assert_close(end, x0 + 1)


def test_both_move_together_at_one_time():
    """In 2 + 2 steps, each state where its own velocity has brought it."""
    (x0, z0), asked = NOISE, Velocities()
    end = joint(asked, x0, z0, latent=Solver("euler", 2), expression=Solver("euler", 2))
    assert asked.times == [(0.0, 0.0), (0.25, 0.25), (0.5, 0.5), (0.75, 0.75)]
    for quarter, call in enumerate(asked.calls):
        torch.testing.assert_close(call[0], x0 + quarter / 4)
        torch.testing.assert_close(call[1], z0 + quarter / 2)
    torch.testing.assert_close(end, x0 + 1)


@pytest.mark.parametrize("solver", STAGES)
@pytest.mark.parametrize(("latent", "expression"), [(1, 2), (3, 3), (10, 10)])
def test_joint_and_cascade_ask_equally_often(solver, latent, expression):
    """No order is given more evaluations of the network than the other."""
    counts = []
    for order in ("latent_first", "joint"):
        asked = Velocities()
        SAMPLERS[order](asked, *NOISE, Solver(solver, latent), Solver(solver, expression))
        counts.append(len(asked.calls))
    assert counts == [STAGES[solver] * (latent + expression)] * 2


MEAN_X, MEAN_Z, COVARIANCE = 1.5, -0.5, torch.tensor([[0.49, 0.3], [0.3, 0.64]])


def gaussian_velocity(x, z, t_expr, t_latent):
    """Exact velocities of two correlated numbers, noised independently, each at its own time.

    With x_t = (1 - t) x0 + t x1 and z_s likewise, everything is jointly normal, and E[x1 - x0 | x_t, z_s]
    and E[z1 - z0 | x_t, z_s] are linear regressions.
    """
    t, s = t_expr[0], t_latent[0]
    (a, r), (_, c) = COVARIANCE
    spread = torch.stack(
        [
            torch.stack([(1 - t) ** 2 + t**2 * a, t * s * r]),
            torch.stack([t * s * r, (1 - s) ** 2 + s**2 * c]),
        ]
    )
    with_ends = torch.stack([torch.stack([t * a - (1 - t), s * r]), torch.stack([t * r, s * c - (1 - s)])])
    state = torch.stack([x - t * MEAN_X, z.squeeze(-1) - s * MEAN_Z])
    v_x, v_z = torch.einsum("ij,j...->i...", with_ends @ torch.linalg.inv(spread), state)
    return v_x + MEAN_X, (v_z + MEAN_Z).unsqueeze(-1)


def gaussian_ends(x0: torch.Tensor, z0: torch.Tensor) -> dict[str, torch.Tensor]:
    """Where each order brings expression, in closed form.

    Latent first: z1 from its own distribution, x1 from the conditional one. Expression first: noise tells
    nothing of x1, so that its own distribution is followed. Joint: noise times the square root of the
    covariance, since all covariances on the way commute.
    """
    (a, r), (_, c) = COVARIANCE
    z1 = MEAN_Z + c.sqrt() * z0
    values, vectors = torch.linalg.eigh(COVARIANCE)
    root = vectors @ values.sqrt().diag() @ vectors.T
    return {
        "latent_first": MEAN_X + r / c * (z1 - MEAN_Z) + (a - r**2 / c).sqrt() * x0,
        "expression_first": MEAN_X + a.sqrt() * x0,
        "joint": MEAN_X + root[0, 0] * x0 + root[0, 1] * z0,
    }


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_transports_correlated_gaussians_exactly(order):
    """With the exact velocities each order ends where its closed form says, and each elsewhere."""
    x0, z0 = torch.randn(2, 40, 5, generator=generator(3))
    end = SAMPLERS[order](gaussian_velocity, x0, z0.unsqueeze(-1), Solver("rk4", 30), Solver("rk4", 30))
    for name, expected in gaussian_ends(x0, z0).items():
        close = torch.allclose(end, expected, atol=1e-3, rtol=0)
        assert close == (name == order)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_has_the_distribution_of_the_data(order):
    """Mean 1.5 and variance 0.49, in whichever order it is reached."""
    x0, z0 = torch.randn(2, 40_000, 1, generator=generator(5))
    end = SAMPLERS[order](gaussian_velocity, x0, z0.unsqueeze(-1), Solver("rk4", 10), Solver("rk4", 10))
    assert end.mean() == pytest.approx(MEAN_X, abs=0.015)
    assert end.var() == pytest.approx(0.49, rel=0.03)
