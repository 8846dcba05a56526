"""The flow's network as a whole: two streams that read everything and each other."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from methods._flow.backbone import Flow, FlowShape, build_flow, choose_context, count_parameters

SHAPE = FlowShape(n_tokens=12, width=16, heads=2, layers=2, latent=3)


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    """Modules draw their weights from the global generator: fix it, and put it back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def moved_flow(shape: FlowShape = SHAPE) -> Flow:
    """Build a flow whose zero-initialised layers have been moved, as training would."""
    flow = build_flow(shape, seed=1).eval()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return flow


def inputs(cells: int = 3, genes: int = 10) -> dict[str, torch.Tensor]:
    """What a velocity depends on."""
    return {
        "x_t": torch.randn(cells, genes),
        "z_t": torch.randn(cells, genes, 3),
        "t_expr": torch.rand(cells),
        "t_latent": torch.rand(cells),
        "x_ctrl": torch.randn(cells, genes, 1),
        "perturbation": torch.randint(0, 12, (cells, 2)),
        "genes": torch.arange(genes),
    }


def velocities(flow: Flow, given: dict[str, torch.Tensor], context: torch.Tensor | None = None):
    """Both velocities, from inputs under their names."""
    rest = {key: value for key, value in given.items() if key not in ("genes", "perturbation")}
    return flow(encoded=flow.encode(given["genes"], given["perturbation"]), context=context, **rest)


def test_a_perturbation_is_a_mean_and_has_no_order():
    """A+B and B+A are the same, and lie between A+A and B+B."""
    tokens = torch.tensor([[0, 1], [1, 0], [0, 0], [1, 1]])
    both, swapped, first, second = moved_flow().encode(torch.arange(3), tokens).perturbation
    torch.testing.assert_close(both, swapped)
    torch.testing.assert_close(both, (first + second) / 2)
    assert not torch.allclose(first, second)


def test_genes_are_encoded_alike_in_any_company():
    """The vector of a gene is the same in another subset, and as the only perturbed gene of a cell."""
    flow = moved_flow()
    few = flow.encode(torch.tensor([7, 2]), torch.tensor([[2, 2]]))
    many = flow.encode(torch.arange(10), torch.tensor([[3, 4]]))
    torch.testing.assert_close(few.genes, many.genes[[7, 2]])
    torch.testing.assert_close(few.perturbation[0], many.genes[2])


@pytest.mark.parametrize("name", ["x_t", "z_t", "t_expr", "t_latent", "x_ctrl", "perturbation"])
def test_every_input_reaches_both_heads(name):
    """Changing any one input changes v_expr and v_latent."""
    flow, given = moved_flow(), inputs()
    changed = dict(given)
    changed[name] = (given[name] + 1) % 12 if name == "perturbation" else given[name] * 0.5 + 0.1
    for before, after in zip(velocities(flow, given), velocities(flow, changed), strict=True):
        assert (before - after).abs().max() > 1e-4


def test_a_flow_without_latents_has_one_stream():
    """v_latent is None, and there is neither a second time nor a second head among the parameters."""
    flow, given = moved_flow(dataclasses.replace(SHAPE, latent=0)), inputs()
    v_expr, v_latent = velocities(flow, {k: v for k, v in given.items() if k not in ("z_t", "t_latent")})
    assert v_expr.shape == (3, 10)
    assert v_latent is None
    assert not [name for name in flow.state_dict() if name.startswith("latent_")]


def test_velocities_have_the_shapes_of_their_streams():
    """v_expr is (cells, genes) and v_latent (cells, genes, latent)."""
    v_expr, v_latent = velocities(moved_flow(), inputs(cells=4, genes=6))
    assert v_expr.shape == (4, 6)
    assert v_latent.shape == (4, 6, 3)


def test_genes_have_no_positions():
    """Giving the genes in another order gives the same velocities in that order."""
    flow, given, order = moved_flow(), inputs(), torch.randperm(10)
    v_expr, v_latent = velocities(flow, given)
    moved = {key: given[key][:, order] for key in ("x_t", "z_t", "x_ctrl")} | {"genes": given["genes"][order]}
    again = velocities(flow, {**given, **moved})
    torch.testing.assert_close(again[0], v_expr[:, order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(again[1], v_latent[:, order], atol=1e-5, rtol=1e-4)


def test_cells_do_not_see_each_other():
    """A cell alone has the velocities that it has in company."""
    flow, given = moved_flow(), inputs()
    alone = {key: value if key == "genes" else value[1:2] for key, value in given.items()}
    for found, expected in zip(velocities(flow, alone), velocities(flow, given), strict=True):
        torch.testing.assert_close(found, expected[1:2], atol=1e-5, rtol=1e-4)


def test_context_of_all_genes_is_no_context():
    """Reading from every gene by name is reading from all; reading from fewer is not."""
    flow, given = moved_flow(), inputs()
    whole, named, few = (velocities(flow, given, c)[0] for c in (None, torch.arange(10), torch.arange(4)))
    torch.testing.assert_close(named, whole)
    assert not torch.allclose(few, whole)


@pytest.mark.parametrize("name", ["x_t", "z_t", "x_ctrl"])
def test_genes_outside_the_context_are_not_read(name):
    """Another value of such a gene, in either cell, changes its own velocity and no other."""
    flow, given, context = moved_flow(), inputs(), torch.tensor([0, 3, 8])
    changed = {**given, name: given[name].clone()}
    changed[name][:, 1] += 1
    moved = (velocities(flow, changed, context)[0] - velocities(flow, given, context)[0]).abs() > 1e-5
    assert moved.any(0).nonzero().flatten().tolist() == [1]


def test_context_is_drawn_without_repeats():
    """As many positions as asked for, each once; None where all are asked for."""
    drawn = choose_context(10, 4, torch.Generator().manual_seed(0))
    assert drawn is not None
    assert len(set(drawn.tolist()) & set(range(10))) == 4
    assert choose_context(10, 10, torch.Generator()) is None


def test_one_perturbation_for_all_cells_may_be_given_once():
    """Tokens (1, 2) are the same as the same tokens for every cell."""
    flow, given = moved_flow(), inputs()
    single = {**given, "perturbation": torch.tensor([[2, 5]])}
    repeated = {**given, "perturbation": torch.tensor([[2, 5]] * 3)}
    torch.testing.assert_close(velocities(flow, single)[0], velocities(flow, repeated)[0])


def test_untrained_flow_gives_the_linear_velocity():
    """Before training, at t = 1/2 nothing moves and at t = 0 the velocity undoes the noise."""
    flow, given = build_flow(SHAPE, seed=0), inputs()
    for time, factor in ((0.0, -1.0), (0.5, 0.0), (1.0, 1.0)):
        times = {"t_expr": torch.full((3,), time), "t_latent": torch.full((3,), time)}
        v_expr, v_latent = velocities(flow, {**given, **times})
        torch.testing.assert_close(v_expr, factor * given["x_t"])
        torch.testing.assert_close(v_latent, factor * given["z_t"])


def test_dropout_acts_in_training_alone():
    """In training mode two passes differ; in evaluation mode they do not."""
    flow, given = moved_flow(dataclasses.replace(SHAPE, dropout=0.5)), inputs()
    assert torch.equal(velocities(flow, given)[0], velocities(flow, given)[0])
    flow.train()
    assert not torch.equal(velocities(flow, given)[0], velocities(flow, given)[0])


@pytest.mark.parametrize(
    "shape",
    [
        SHAPE,
        FlowShape(30, width=8, heads=1, latent=5, meeting=12),
        FlowShape(30, width=8, heads=1, inverse_task=True),
    ],
)
def test_parameter_count_is_that_of_the_built_flow(shape):
    """Counting without allocating gives the sum over a real flow."""
    assert count_parameters(shape) == sum(part.numel() for part in Flow(shape).parameters())


def test_building_and_counting_are_seeded_and_leave_the_global_state_alone():
    """Same seed, same weights; another seed, others; the global generator does not move."""
    before = torch.get_rng_state()
    one, same, other = (build_flow(SHAPE, seed).genes.embedding.weight for seed in (1, 1, 2))
    count_parameters(SHAPE)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())
