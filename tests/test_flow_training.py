"""Paths, cascaded training and cascaded sampling, against closed forms."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods._flow.backbone import FlowShape, build_flow
from methods._flow.paths import at_time, linear_velocity, velocity
from methods._flow.sampling import Solver, non_negative, sample_cascade, seeded_generator
from methods._flow.training import (
    PairedCells,
    SpecialTokens,
    TrainingOptions,
    another_pair,
    cascade_losses,
    draw_times,
    hide_tokens,
    train_flow,
    update_average,
)

OPTIONS = TrainingOptions(
    steps=6,
    batch_size=8,
    genes_per_step=4,
    context_genes=3,
    learning_rate=1e-2,
    weight_decay=0.01,
    gradient_norm=1.0,
    average=0.999,
    latent_probability=0.4,
    latent_floor=0.75,
    token_dropout=0.05,
)
SPECIAL = SpecialTokens(control=6, unknown=7)
SHAPE = FlowShape(n_tokens=8, latent=2, width=8, heads=1, layers=1)


def generator(seed: int = 0) -> torch.Generator:
    """Make a seeded generator."""
    return torch.Generator().manual_seed(seed)


def pairs(cells: int = 12, genes: int = 5, shift: float = 0.0) -> PairedCells:
    """Random pairs of two perturbations."""
    random = generator(9)
    return PairedCells(
        control=torch.randn(cells, genes, generator=random),
        perturbed=torch.randn(cells, genes, generator=random) + shift,
        latent=torch.randn(cells, genes, 2, generator=random).half(),
        tokens=torch.tensor([[0, 6], [1, 6]]).repeat_interleave(cells // 2, 0),
        first=torch.tensor([0, cells // 2]).repeat_interleave(cells // 2),
        size=torch.full((cells,), cells // 2),
    )


def test_path_runs_from_noise_to_data_at_constant_velocity() -> None:
    """At 0 it is the noise, at 1 the data, and its derivative is data - noise."""
    noise, data = torch.randn(2, 3, 4, generator=generator())
    torch.testing.assert_close(at_time(noise, data, torch.zeros(3)), noise)
    torch.testing.assert_close(at_time(noise, data, torch.ones(3)), data)
    step = at_time(noise, data, torch.full((3,), 0.6)) - at_time(noise, data, torch.full((3,), 0.5))
    torch.testing.assert_close(step / 0.1, velocity(noise, data), atol=1e-5, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1))
def test_linear_velocity_is_the_regression_on_standard_data(time: float) -> None:
    """Its factor is the least-squares slope of data - noise on the path's point."""
    noise, data = torch.randn(2, 20_000, 1, generator=generator())
    point = at_time(noise, data, torch.full((20_000,), time))
    slope = (point * velocity(noise, data)).sum() / point.square().sum()
    guess = linear_velocity(torch.ones(1, 1), torch.tensor([time]))
    assert abs(float(guess) - float(slope)) < 0.05


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
def test_exact_velocity_carries_one_gaussian_to_another(solver: str, steps: int, tolerance: float) -> None:
    """Each point x of N(0, 1) arrives at mean + deviation x."""
    start = torch.linspace(-3, 3, 7)
    end = Solver(solver, steps).integrate(exact_velocity(1.5, 0.4), start)
    torch.testing.assert_close(end, 1.5 + 0.4 * start, atol=tolerance, rtol=0)


def test_latent_is_finished_before_expression_moves() -> None:
    """First x rests at its noise with t_expr = 0; then z is the finished latent with t_latent = 1."""
    x0, z0, calls = torch.randn(2, 3), torch.randn(2, 3, 1), []

    def rate(x, z, t_expr, t_latent):
        calls.append((x.clone(), z.clone(), float(t_expr[0]), float(t_latent[0])))
        return torch.ones_like(x), 2 * torch.ones_like(z)

    end = sample_cascade(rate, x0, z0, latent=Solver("euler", 4), expression=Solver("euler", 2))
    latent, expression = calls[:4], calls[4:]
    assert [call[2:] for call in latent] == [(0.0, 0.0), (0.0, 0.25), (0.0, 0.5), (0.0, 0.75)]
    assert [call[2:] for call in expression] == [(0.0, 1.0), (0.5, 1.0)]
    assert all(torch.equal(call[0], x0) for call in latent)
    assert all(torch.allclose(call[1], z0 + 2) for call in expression)
    torch.testing.assert_close(end, x0 + 1)


def test_cascade_transports_both_streams_exactly() -> None:
    """With exact velocities, expression lands on a Gaussian around what the finished latent says."""
    x0, z0 = torch.randn(4, 3, generator=generator()), torch.randn(4, 3, 1, generator=generator(1))

    def rate(x, z, t_expr, t_latent):
        target = z.squeeze(-1)
        t = t_expr[:, None]
        v_expr = target + (t * 0.25 - (1 - t)) / ((1 - t) ** 2 + t**2 * 0.25) * (x - target * t)
        return v_expr, exact_velocity(2.0, 0.1)(t_latent[:, None, None], z)

    end = sample_cascade(rate, x0, z0, Solver("rk4", 20), Solver("rk4", 20))
    torch.testing.assert_close(end, 2 + 0.1 * z0.squeeze(-1) + 0.5 * x0, atol=1e-3, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.floats(-2, 2), st.integers(0, 10_000))
def test_non_negative_cells_keep_the_means(cells: int, shift: float, seed: int) -> None:
    """No value is negative, means above zero stay, and no other such cells are nearer."""
    values = torch.randn(cells, 3, generator=generator(seed)) + shift
    found, mean = non_negative(values), values.mean(0)
    assert (found >= 0).all()
    torch.testing.assert_close(found.mean(0), mean.clamp(min=0), atol=1e-5, rtol=1e-5)
    rival = torch.rand(cells, 3, generator=generator(seed + 1))
    rival = rival / rival.mean(0) * mean.clamp(min=0)
    nearest, other = ((values - near).square().sum(0) for near in (found, rival))
    assert (nearest <= other + 1e-4).all()


def test_non_negative_by_hand() -> None:
    """3, 1, -1 have mean 1: lowered by 1/2 and clamped they are 2.5, 0.5, 0."""
    found = non_negative(torch.tensor([[3.0, 2.0], [1.0, 0.0], [-1.0, 1.0]]))
    torch.testing.assert_close(found, torch.tensor([[2.5, 2.0], [0.5, 0.0], [0.0, 1.0]]))


def test_noise_depends_on_seed_and_label_alone() -> None:
    """The same seed and label give the same numbers; another of either gives others."""
    draw = {key: torch.rand(3, generator=seeded_generator(*key)) for key in ((0, "A"), (0, "B"), (1, "A"))}
    assert torch.equal(draw[0, "A"], torch.rand(3, generator=seeded_generator(0, "A")))
    assert not torch.equal(draw[0, "A"], draw[0, "B"])
    assert not torch.equal(draw[0, "A"], draw[1, "A"])


def test_coin_and_times_follow_the_cascade() -> None:
    """Four cells in ten train the latent, at t_expr = 0; the others have t_latent in [0.75, 1]."""
    latent, t_expr, t_latent = draw_times(40_000, OPTIONS, generator())
    assert latent.float().mean() == pytest.approx(0.4, abs=0.01)
    assert (t_expr[latent] == 0).all()
    assert t_latent[~latent].min() >= 0.75
    for uniform in (t_latent[latent], t_expr[~latent], (t_latent[~latent] - 0.75) / 0.25):
        assert uniform.mean() == pytest.approx(0.5, abs=0.01)
        assert uniform.var() == pytest.approx(1 / 12, abs=0.003)


def test_losses_by_hand() -> None:
    """One cell of each kind: its own error counts, and R^2 compares it with guessing zero."""
    v_expr, v_latent = torch.tensor([[9.0, 9.0], [1.0, 1.0]]), torch.tensor([[[2.0]], [[9.0]]])
    target_expr, target_latent = torch.tensor([[0.0, 0.0], [2.0, 2.0]]), torch.tensor([[[4.0]], [[0.0]]])
    losses = cascade_losses(v_expr, v_latent, target_expr, target_latent, torch.tensor([True, False]))
    assert losses["loss"] == (4 + 1) / 2
    assert losses["latent_r2"] == 1 - 4 / 16
    assert losses["expr_r2"] == 1 - 1 / 4


@pytest.mark.parametrize(("probability", "silent"), [(1.0, "expression_head"), (0.0, "latent_head")])
def test_the_other_head_gets_no_gradient(probability: float, silent: str) -> None:
    """Where all cells train one flow, the head of the other is not moved."""
    flow = build_flow(SHAPE, 0)
    options = dataclasses.replace(OPTIONS, latent_probability=probability, weight_decay=0.0)
    before = copy.deepcopy(flow)
    for _, losses in train_flow(flow, copy.deepcopy(flow), pairs(), SPECIAL, options, generator()):
        assert "expr_r2" not in losses if probability else "latent_r2" not in losses
    heads = {"expression_head", "latent_head"}
    moved = {h for h in heads if not torch.equal(getattr(flow, h).weight, getattr(before, h).weight)}
    assert moved == heads - {silent}


def test_training_learns_a_shift() -> None:
    """Expression shifted by 3 deviations is found, and the loss falls."""
    flow = build_flow(SHAPE, 0)
    averaged = copy.deepcopy(flow)
    options = dataclasses.replace(OPTIONS, steps=150, batch_size=16, latent_probability=0.2, average=0.9)
    steps = train_flow(flow, averaged, pairs(shift=3.0), SPECIAL, options, generator())
    losses = [values["loss"] for _, values in steps]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_training_repeats_itself_and_leaves_the_global_state_alone() -> None:
    """Same seeds, same weights; torch's global random state does not move."""
    before, ends = torch.get_rng_state(), []
    for _ in range(2):
        flow = build_flow(SHAPE, 0)
        list(train_flow(flow, copy.deepcopy(flow), pairs(), SPECIAL, OPTIONS, generator(4)))
        ends.append(flow)
    assert all(torch.equal(a, b) for a, b in zip(ends[0].parameters(), ends[1].parameters(), strict=True))
    assert torch.equal(before, torch.get_rng_state())


def test_another_pair_is_any_of_the_same_perturbation() -> None:
    """Partners of pair 7 are pairs 6 to 11, all of them in time, itself among them."""
    found = another_pair(pairs(), torch.full((500,), 7), generator())
    assert found.unique().tolist() == [6, 7, 8, 9, 10, 11]


def test_hidden_tokens_are_perturbed_genes_only() -> None:
    """With full dropout every gene is unknown and `control` stays; with none, nothing changes."""
    tokens = torch.tensor([[0, 6], [1, 2]])
    assert hide_tokens(tokens, SPECIAL, 1.0, generator()).tolist() == [[7, 6], [7, 7]]
    assert torch.equal(hide_tokens(tokens, SPECIAL, 0.0, generator()), tokens)


def test_average_moves_by_one_minus_decay() -> None:
    """After one update with decay 0.75, the average is a quarter of the way."""
    average, flow = build_flow(SHAPE, 0), build_flow(SHAPE, 1)
    expected = torch.lerp(average.tokens.weight, flow.tokens.weight, 0.25).detach()
    update_average(average, flow, 0.75)
    torch.testing.assert_close(average.tokens.weight, expected)
