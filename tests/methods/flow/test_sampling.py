"""Cells from a flow: its velocities are what is integrated, and no cell goes below zero."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods._flow.backbone import FlowShape, build_flow
from methods._flow.randomness import seeded_generator
from methods._flow.sampling import (
    SAMPLERS,
    SamplingOptions,
    Solver,
    non_negative,
    sample_expression,
)
from tests.methods.flow.flow_case import CONTROL, GENES, SHAPE, RecordingFlow, generator

ORDERS = ["latent_first", "expression_first", "joint"]


def options(order: str = "latent_first", precision: str = "float32", steps: int = 2) -> SamplingOptions:
    return SamplingOptions(Solver("midpoint", steps), Solver("midpoint", steps), order, precision)


def moved_flow(shape: FlowShape = SHAPE):
    """A flow as training would leave it."""
    flow = build_flow(shape, seed=1).eval()
    with torch.no_grad():
        for weight in flow.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator(7)))
    return flow


def given_cells(cells: int = 3) -> dict[str, torch.Tensor]:
    return {
        "x_ctrl": torch.randn(cells, GENES, 1, generator=generator(1)),
        "perturbation": torch.tensor([[1, CONTROL]]),
        "x0": torch.randn(cells, GENES, generator=generator(2)),
        "z0": torch.randn(cells, GENES, 2, generator=generator(3)),
    }


@pytest.mark.parametrize("order", ORDERS)
def test_sampling_a_flow_is_integrating_its_velocities(order):
    """The same as the sampler on the flow itself, all genes at once, without gradients."""
    flow, given, context = moved_flow(), given_cells(), torch.tensor([4, 0])
    found = sample_expression(flow, **given, context=context, options=options(order))

    def velocity(x, z, t_expr, t_latent):
        encoded = flow.encode(torch.arange(GENES), given["perturbation"])
        return flow(x, given["x_ctrl"], encoded, t_expr, z, t_latent, context)

    solver = Solver("midpoint", 2)
    expected = SAMPLERS[order](velocity, given["x0"], given["z0"], solver, solver).detach()
    torch.testing.assert_close(found, expected)
    assert found.dtype == torch.float32
    assert not found.requires_grad


def test_three_orders_give_three_answers():
    flow, given = moved_flow(), given_cells()
    one, two, three = (sample_expression(flow, **given, context=None, options=options(o)) for o in ORDERS)
    assert not torch.allclose(one, two, atol=1e-3)
    assert not torch.allclose(one, three, atol=1e-3)
    assert not torch.allclose(two, three, atol=1e-3)


@pytest.mark.parametrize("order", ORDERS)
def test_genes_are_encoded_once_for_a_whole_prediction(order):
    flow = RecordingFlow()
    flow.parameters = lambda: iter([torch.zeros(1)])
    sample_expression(flow, **given_cells(), context=None, options=options(order, steps=5))
    assert flow.encoded == 1
    assert len(flow.calls) == (10 if order == "expression_first" else 20)


def test_a_flow_without_latents_has_no_order():
    """Whatever the order is, expression is integrated alone."""
    flow = moved_flow(FlowShape(n_tokens=8, width=8, heads=2))
    given = {**given_cells(), "z0": None}
    one, *others = (sample_expression(flow, **given, context=None, options=options(o)) for o in ORDERS)
    assert all(torch.equal(one, other) for other in others)
    assert one.isfinite().all()


def test_sampling_in_bfloat16_comes_close_and_gives_float32():
    """Each velocity is rounded, not the sum of the steps."""
    flow, given = moved_flow(), given_cells()
    exact = sample_expression(flow, **given, context=None, options=options())
    rough = sample_expression(flow, **given, context=None, options=options(precision="bfloat16"))
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.1, rtol=0)
    assert not torch.equal(rough, exact)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.floats(-2, 2), st.integers(0, 10_000))
def test_non_negative_cells_keep_the_means(cells, shift, seed):
    """No value is negative, means above zero stay, and no other such cells are nearer."""
    values = torch.randn(cells, 3, generator=generator(seed)) + shift
    found, mean = non_negative(values), values.mean(0)
    assert (found >= 0).all()
    torch.testing.assert_close(found.mean(0), mean.clamp(min=0), atol=1e-5, rtol=1e-5)
    rival = torch.rand(cells, 3, generator=generator(seed + 1))
    rival = rival / rival.mean(0) * mean.clamp(min=0)
    nearest, other = ((values - near).square().sum(0) for near in (found, rival))
    assert (nearest <= other + 1e-4).all()


def test_non_negative_by_hand():
    """3, 1, -1 have mean 1: lowered by 1/2 and clamped they are 2.5, 0.5, 0."""
    found = non_negative(torch.tensor([[3.0, 2.0], [1.0, 0.0], [-1.0, 1.0]]))
    torch.testing.assert_close(found, torch.tensor([[2.5, 2.0], [0.5, 0.0], [0.0, 1.0]]))


def test_noise_depends_on_seed_and_label_alone():
    """The same seed and label give the same numbers; another of either gives others."""
    draw = {key: torch.rand(3, generator=seeded_generator(*key)) for key in ((0, "A"), (0, "B"), (1, "A"))}
    assert torch.equal(draw[0, "A"], torch.rand(3, generator=seeded_generator(0, "A")))
    assert not torch.equal(draw[0, "A"], draw[0, "B"])
    assert not torch.equal(draw[0, "A"], draw[1, "A"])
