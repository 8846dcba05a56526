"""The network of scDFM equals the published one, written operation by operation, in values and gradients.

The settings are those of the method: as published, and with the correction of the network that can be had,
another time scale. (The other corrections are none of the network; see `test_as_published`.)
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from methods._flow.backbone import Flow
from tests.methods.scdfm.network_case import CELLS, fast_velocity, inputs, literal, published

SETTINGS = [
    pytest.param({"as_published": True, "time_scale": 1000.0}, 1.0, id="as published"),
    pytest.param({"as_published": False, "time_scale": 1000.0}, 1000.0, id="times in thousands"),
    pytest.param({"as_published": False, "time_scale": 1.0}, 1.0, id="times as they are"),
]
UNUSED = ("perturbation_", "masked_perturbation")
"""Weights of the other task of scDFM, naming the perturbation."""


def in_double(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Numbers in float64, with gradients asked for; tokens as they are."""
    return tuple(part.double().requires_grad_() if part.is_floating_point() else part for part in values)


def gradients(velocity: Tensor, flow: Flow, given: tuple[Tensor, ...]) -> dict[str, Tensor | None]:
    """Of a number made of all velocities, for every weight and every input that is no token."""
    names = [*dict(flow.named_parameters()), "x_t", "control", "t"]
    weight = torch.linspace(-1, 2, velocity.numel(), dtype=velocity.dtype).view_as(velocity)
    found = torch.autograd.grad(
        (weight * velocity).sum() + velocity.square().sum(),
        [*flow.parameters(), *given[:3]],
        allow_unused=True,
    )
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("settings", "time_scale"), SETTINGS)
def test_velocities_and_gradients_are_the_published_ones(settings, time_scale, training):
    """In float64, in which rounding hides nothing: all weights, noisy cells, control cells and times.

    Training drops nothing here; where it drops something, evaluation does not.
    """
    flow = published(dropout=0.0 if training else 0.4, layers=3, **settings).double().train(training)
    given = in_double(inputs())
    ours, theirs = fast_velocity(flow, *given), literal(flow, time_scale).velocity(*given)
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)
    ours, theirs = gradients(ours, flow, given), gradients(theirs, flow, given)
    for name in theirs:
        if name.startswith(UNUSED):
            assert ours[name] is theirs[name] is None
        else:
            assert theirs[name].abs().max() > 1e-6 or name.endswith("in_proj_bias"), name
            torch.testing.assert_close(ours[name], theirs[name], atol=1e-8, rtol=1e-8, msg=name)


@pytest.mark.parametrize("graph_neighbours", [0, 30])
@pytest.mark.parametrize(("settings", "time_scale"), SETTINGS)
def test_velocities_are_the_published_ones_in_the_precision_of_training(
    settings, time_scale, graph_neighbours
):
    """In float32 to 1e-5, with and without the graph."""
    flow = published(graph_neighbours=graph_neighbours, **settings)
    expected = literal(flow, time_scale).velocity(*inputs())
    torch.testing.assert_close(fast_velocity(flow, *inputs()), expected, atol=1e-5, rtol=1e-5)


def test_values_are_dropped_where_the_published_network_drops_them(monkeypatch):
    """Dropout that multiplies by 1.2 shows where it acts: attention weights, what is read, encoders, nets."""
    monkeypatch.setattr(
        functional, "dropout", lambda values, p, training=True: values * (1 + p) if training else values
    )
    flow = published(dropout=0.2).double()
    given = in_double(inputs())
    undropped = fast_velocity(flow, *given)
    expected = literal(flow, 1.0, lambda values: values * 1.2).velocity(*given)
    torch.testing.assert_close(fast_velocity(flow.train(), *given), expected, atol=1e-9, rtol=0)
    assert (expected - undropped).abs().max() > 0.1


def test_cells_of_one_perturbation_drop_different_parts_of_it():
    """What is dropped of a perturbation's vector is drawn for each cell; of the genes', once for a step."""
    flow = published(dropout=0.5).train()
    genes, alike = torch.arange(5), torch.tensor([[3, 7]]).repeat(CELLS, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoded = flow.encode(genes, alike)
    assert encoded.genes.shape == (5, 16)
    assert len(encoded.perturbation.unique(dim=0)) == CELLS
    assert len(flow.eval().encode(genes, alike).perturbation.unique(dim=0)) == 1
