"""What a flow generates around: where the mean lies, and that cells lie around it as far as is said."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from methods._flow.backbone import FlowShape, build_flow
from methods._flow.readout import dropped, readout_inputs
from methods._flow.sampling import SamplingOptions, Solver, sample_expression, sample_mean

GENES, LATENT, SHAPES = 4, 2, 3
SHAPE = FlowShape(9, width=8, layers=1, latent=LATENT, told=1 + SHAPES + LATENT, panel=GENES)
TOKENS = torch.tensor([[0, 1]])


def flow_around(spread: float = 0.5, units: float = 0.0):
    """An untrained flow, which moves as its centre says, with a readout that says something."""
    flow = build_flow(SHAPE, seed=0).eval()
    with torch.no_grad():
        flow.centre.readout.last.bias.fill_(1.0)
        flow.centre.units.fill_(units)
        flow.centre.spread.fill_(spread)
        flow.centre.latent_spread.fill_(0.1)
    return flow


def told(cells: int, known: bool = True) -> torch.Tensor:
    """Control values of 0, then what is told: means 1 to 4, shapes, and latents of 2."""
    means = torch.arange(1.0, GENES + 1).expand(cells, GENES).unsqueeze(-1)
    shapes = torch.full((cells, GENES, SHAPES), 0.3 if known else 0.0)
    return torch.cat([means * 0, means, shapes, torch.full((cells, GENES, LATENT), 2.0)], dim=-1)


def options(order: str = "latent_first", steps: int = 40) -> SamplingOptions:
    """Many small steps."""
    solver = Solver("midpoint", steps)
    return SamplingOptions(solver, solver, order, "float32")


def noises(cells: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of expression and of latents."""
    random = torch.Generator().manual_seed(0)
    return torch.randn(cells, GENES, generator=random), torch.randn(cells, GENES, LATENT, generator=random)


@pytest.mark.parametrize("order", ["latent_first", "expression_first", "joint"])
def test_an_untrained_flow_gives_cells_around_the_mean_that_is_told(order):
    x0, z0 = noises(100)
    cells = sample_expression(flow_around(), told(100), TOKENS, x0, z0, None, options(order))
    torch.testing.assert_close(cells, torch.arange(1.0, GENES + 1) + 0.5 * x0, atol=0.02, rtol=0)


@pytest.mark.parametrize("order", ["latent_first", "expression_first", "joint"])
def test_the_mean_is_what_cells_lie_around(order):
    x0, z0 = noises(50)
    mean = sample_mean(flow_around(), told(50), TOKENS, x0, z0, None, options(order, steps=2))
    torch.testing.assert_close(mean, torch.arange(1.0, GENES + 1))


@pytest.mark.parametrize("order", ["latent_first", "expression_first", "joint"])
def test_a_mean_that_reads_no_latent_needs_no_path_and_is_where_the_path_ends(order, monkeypatch):
    flow, (x0, z0) = flow_around(units=0.1), noises(50)
    with torch.no_grad():
        flow.centre.readout.first.weight[:, SHAPES:] = 1e-9
        path = sample_mean(flow, told(50), TOKENS, x0, z0, None, options(order))
        flow.centre.readout.first.weight[:, SHAPES:] = 0
    assert not flow.centre.reads_latent
    monkeypatch.setattr(flow, "forward", None)
    torch.testing.assert_close(sample_mean(flow, told(50), TOKENS, x0, z0, None, options(order)), path)


def test_the_readout_is_added_in_its_units_where_both_genes_are_known():
    flow, times = flow_around(units=0.1), torch.ones(3)
    z, genes = torch.full((3, GENES, LATENT), 2.0), torch.arange(GENES)
    given = told(3)[..., 1:]
    said = flow.centre.readout(readout_inputs(given[..., 1:-LATENT], z, times), genes)
    torch.testing.assert_close(flow.centre(given, genes, z, times), given[..., 0] + 0.1 * said)
    assert said.abs().min() > 0
    unknown = told(3, known=False)[..., 1:]
    assert torch.equal(flow.centre(unknown, genes, z, times), unknown[..., 0])


def test_some_genes_are_read_as_they_are_among_all():
    flow, times = flow_around(units=0.1), torch.ones(2)
    z, some = torch.randn(2, GENES, LATENT), torch.tensor([2, 0])
    given = told(2)[..., 1:]
    whole = flow.centre(given, torch.arange(GENES), z, times)
    torch.testing.assert_close(flow.centre(given[:, some], some, z[:, some], times), whole[:, some])


def test_a_latent_at_rest_is_not_read():
    """At time 0 it is noise, and the readout is given nothing of it."""
    flow, genes = flow_around(units=0.1), torch.arange(GENES)
    given, rest = told(2)[..., 1:], torch.zeros(2)
    one, other = (torch.randn(2, GENES, LATENT) for _ in range(2))
    assert torch.equal(flow.centre(given, genes, one, rest), flow.centre(given, genes, other, rest))


def test_training_leaves_the_readout_as_it_is():
    flow = flow_around()
    flow.train()
    assert not flow.centre.readout.training
    assert not any(part.requires_grad for part in flow.centre.parameters())


def test_without_anything_told_it_has_no_centre():
    assert not hasattr(build_flow(dataclasses.replace(SHAPE, told=0), seed=0), "centre")


def test_dropout_keeps_a_share_and_the_mean():
    torch.manual_seed(0)
    values = torch.full((300, 333), 2.0)
    found = dropped(values, 0.25)
    assert found.unique().tolist() == pytest.approx([0.0, 2 / 0.75])
    assert float((found == 0).float().mean()) == pytest.approx(0.25, abs=0.006)  # four standard errors
    for lines in (found, found.T):  # every cell and every gene alike
        assert float((lines == 0).float().mean(1).max()) < 0.4
    assert dropped(values, 0.0) is values
    assert dropped(values, 0.999).isfinite().all()


def test_dropout_follows_the_seed():
    torch.manual_seed(1)
    first, second = (dropped(torch.ones(9, 5), 0.5) for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(dropped(torch.ones(9, 5), 0.5), first)
    assert not torch.equal(first, second)
