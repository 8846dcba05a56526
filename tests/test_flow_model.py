"""The backbone of the flow: differential attention, encoders, blocks, heads."""

from __future__ import annotations

import math

import pytest
import torch

from methods._flow.attention import DifferentialAttention
from methods._flow.backbone import FlowShape, TwoStreamFlow, build_flow, choose_context, count_parameters
from methods._flow.blocks import FlowBlock, GeneModulation, modulate
from methods._flow.encoders import GeneVocabulary, PerturbationEmbedding, TimeEmbedding, ValueEncoder

SHAPE = FlowShape(n_tokens=12, latent=3, width=16, heads=2, layers=2)


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    """Modules draw their weights from the global generator: fix it, and put it back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def trained_flow() -> TwoStreamFlow:
    """Build a flow whose zero-initialised layers have been moved, as training would."""
    flow = build_flow(SHAPE, seed=1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return flow


def inputs(cells: int = 3, genes: int = 10) -> dict[str, torch.Tensor]:
    """Arguments of a forward pass."""
    return {
        "x_t": torch.randn(cells, genes),
        "z_t": torch.randn(cells, genes, 3),
        "t_expr": torch.rand(cells),
        "t_latent": torch.rand(cells),
        "x_ctrl": torch.randn(cells, genes),
        "perturbation": torch.randint(0, 12, (cells, 2)),
        "genes": torch.arange(genes),
    }


def explicit_attention(layer: DifferentialAttention, x: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Differential attention with both softmax maps formed and subtracted, one head at a time."""
    width = x.shape[-1]
    size = width // layer.heads
    dots = (layer.lambda_vectors[0] * layer.lambda_vectors[1]).sum(-1).tolist()
    weight = math.exp(dots[0]) - math.exp(dots[1]) + layer.lambda_init
    heads = []
    for head in range(layer.heads):
        span = slice(head * size, (head + 1) * size)
        second = slice(width + head * size, width + (head + 1) * size)
        v = source @ layer.value.weight[span].T
        maps = [
            ((x @ layer.query.weight[part].T) @ (source @ layer.key.weight[part].T).mT / size**0.5).softmax(
                -1
            )
            for part in (span, second)
        ]
        out = (maps[0] - weight * maps[1]) @ v
        out = out / (out.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.head_norm.weight
        heads.append(out * (1 - layer.lambda_init))
    return torch.cat(heads, dim=-1) @ layer.out.weight.T


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_differential_attention_equals_explicit_maps(heads: int) -> None:
    """Two fused calls equal the difference of two softmax maps applied to the values."""
    layer, x = DifferentialAttention(16, heads, depth=1), torch.randn(2, 7, 16)
    torch.testing.assert_close(layer(x), explicit_attention(layer, x, x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        layer(x, x[:, :3]), explicit_attention(layer, x, x[:, :3]), atol=1e-5, rtol=1e-4
    )


def test_lambda_starts_deeper_with_depth() -> None:
    """lambda_init is 0.2, 0.356, 0.471, 0.556 in the first four layers."""
    found = [DifferentialAttention(8, 1, depth).lambda_init for depth in range(4)]
    assert found == pytest.approx([0.2, 0.3555, 0.4707, 0.5561], abs=1e-4)


def test_vocabulary_orders_panel_unmeasured_and_special_tokens() -> None:
    """Perturbed genes off the panel get tokens of their own; singles are paired with control."""
    vocabulary = GeneVocabulary(["A", "B", "C"], perturbed=["Z", "B"])
    assert len(vocabulary) == 6
    assert (vocabulary.control, vocabulary.unknown) == (4, 5)
    assert vocabulary.tokens(["B", "Z"]) == [1, 3]
    assert vocabulary.tokens(["B"]) == [1, 4]
    assert vocabulary.tokens([]) == [4, 4]


def test_genes_never_perturbed_share_the_unknown_token() -> None:
    """Measured or not, a gene that training never perturbed is `unknown` in that role."""
    vocabulary = GeneVocabulary(["A", "B"], perturbed=["B"])
    assert vocabulary.tokens(["A"]) == vocabulary.tokens(["NEVER"]) == [3, 2]


def test_perturbation_embedding_is_a_mean_and_has_no_order() -> None:
    """A+B and B+A are the same, and lie between A+A and B+B."""
    layer, table = PerturbationEmbedding(8), torch.randn(5, 8)
    both, swapped, first, second = layer(torch.tensor([[0, 1], [1, 0], [0, 0], [1, 1]]), table)
    torch.testing.assert_close(both, swapped)
    torch.testing.assert_close(both, (first + second) / 2)


def test_time_embedding_tells_near_times_apart() -> None:
    """Times are scaled, so that most frequencies vary over [0, 1]."""
    layer = TimeEmbedding(8)
    angles = 1000 * layer.rates
    assert (angles > 0.5).sum() > len(angles) / 2
    assert (layer(torch.tensor([0.5])) - layer(torch.tensor([0.51]))).abs().max() > 1e-3


def test_value_encoder_adds_to_the_gene() -> None:
    """With the second layer at zero the token is the gene's embedding."""
    layer, genes = ValueEncoder(2, 8), torch.randn(4, 8)
    torch.nn.init.zeros_(layer.second.weight)
    torch.nn.init.zeros_(layer.second.bias)
    torch.testing.assert_close(layer(torch.randn(3, 4, 2), genes), genes.expand(3, 4, 8))


def test_modulation_normalises_scales_and_shifts() -> None:
    """With scale 1 and shift 3, a token has mean 3 and deviation 2."""
    out = modulate(torch.randn(2, 3, 64), torch.tensor(3.0), torch.tensor(1.0))
    torch.testing.assert_close(out.mean(-1), torch.full((2, 3), 3.0))
    torch.testing.assert_close(out.std(-1, unbiased=False), torch.full((2, 3), 2.0), atol=1e-3, rtol=0)


def test_gene_modulation_depends_on_gene_and_on_perturbation() -> None:
    """Equal tokens become different for different genes, and for different perturbations."""
    layer, tokens = GeneModulation(8, 16), torch.randn(1, 1, 8).expand(2, 3, 8)
    out = layer(tokens, torch.randn(3, 8), torch.randn(2, 8))
    assert (out[0, 0] - out[0, 1]).abs().max() > 1e-3
    assert (out[0, 0] - out[1, 0]).abs().max() > 1e-3


def test_block_starts_without_attention_and_reads_the_condition_once_trained() -> None:
    """AdaLN-Zero: at the start the condition changes nothing; with weights it does."""
    block, tokens, genes = FlowBlock(16, 2, 0), torch.randn(2, 5, 16), torch.randn(5, 16)
    one, other, perturbed = torch.randn(2, 16), torch.randn(2, 16), torch.randn(2, 16)
    torch.testing.assert_close(block(tokens, one, genes, perturbed), block(tokens, other, genes, perturbed))
    torch.nn.init.normal_(block.condition.weight)
    changed = block(tokens, one, genes, perturbed) - block(tokens, other, genes, perturbed)
    assert changed.abs().max() > 1e-2


@pytest.mark.parametrize("name", ["x_t", "z_t", "t_expr", "t_latent", "x_ctrl", "perturbation"])
def test_every_input_reaches_both_heads(name: str) -> None:
    """Changing any one input changes v_expr and v_latent."""
    flow, given = trained_flow(), inputs()
    changed = dict(given)
    changed[name] = (given[name] + 1) % 12 if name == "perturbation" else given[name] * 0.5 + 0.1
    for before, after in zip(flow(**given), flow(**changed), strict=True):
        assert (before - after).abs().max() > 1e-4


def test_velocities_have_the_shapes_of_their_streams() -> None:
    """v_expr is (cells, genes) and v_latent (cells, genes, latent)."""
    v_expr, v_latent = trained_flow()(**inputs(cells=4, genes=6))
    assert v_expr.shape == (4, 6)
    assert v_latent.shape == (4, 6, 3)


def test_genes_have_no_positions() -> None:
    """Giving the genes in another order gives the same velocities in that order."""
    flow, given, order = trained_flow(), inputs(), torch.randperm(10)
    v_expr, v_latent = flow(**given)
    moved = {key: given[key][:, order] for key in ("x_t", "z_t", "x_ctrl")} | {"genes": given["genes"][order]}
    again = flow(**{**given, **moved})
    torch.testing.assert_close(again[0], v_expr[:, order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(again[1], v_latent[:, order], atol=1e-5, rtol=1e-4)


def test_context_of_all_genes_is_no_context() -> None:
    """Reading from every gene by name is reading from all; reading from fewer is not."""
    flow, given = trained_flow(), inputs()
    torch.testing.assert_close(flow(**given, context=torch.arange(10))[0], flow(**given)[0])
    assert not torch.allclose(flow(**given, context=torch.arange(4))[0], flow(**given)[0])


def test_context_is_drawn_without_repeats() -> None:
    """As many positions as asked for, each once; None where all are asked for."""
    drawn = choose_context(10, 4, torch.Generator().manual_seed(0))
    assert drawn is not None
    assert len(set(drawn.tolist()) & set(range(10))) == 4
    assert choose_context(10, 10, torch.Generator()) is None


def test_one_perturbation_for_all_cells_may_be_given_once() -> None:
    """Tokens (1, 2) are the same as the same tokens for every cell."""
    flow, given = trained_flow(), inputs()
    single = {**given, "perturbation": torch.tensor([[2, 5]])}
    repeated = {**given, "perturbation": torch.tensor([[2, 5]] * 3)}
    torch.testing.assert_close(flow(**single)[0], flow(**repeated)[0])


def test_untrained_flow_gives_the_linear_velocity() -> None:
    """Before training, at t = 1/2 nothing moves and at t = 0 the velocity undoes the noise."""
    flow, given = build_flow(SHAPE, seed=0), inputs()
    for time, factor in ((0.0, -1.0), (0.5, 0.0), (1.0, 1.0)):
        times = {"t_expr": torch.full((3,), time), "t_latent": torch.full((3,), time)}
        v_expr, v_latent = flow(**{**given, **times})
        torch.testing.assert_close(v_expr, factor * given["x_t"])
        torch.testing.assert_close(v_latent, factor * given["z_t"])


@pytest.mark.parametrize("shape", [SHAPE, FlowShape(30, 5, width=8, heads=1, layers=1)])
def test_parameter_count_is_that_of_the_built_flow(shape: FlowShape) -> None:
    """Counting without allocating gives the sum over a real flow."""
    assert count_parameters(shape) == sum(part.numel() for part in TwoStreamFlow(shape).parameters())


def test_building_is_seeded_and_leaves_the_global_state_alone() -> None:
    """Same seed, same weights; another seed, others; the global generator does not move."""
    before = torch.get_rng_state()
    one, same, other = (build_flow(SHAPE, seed).tokens.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())
