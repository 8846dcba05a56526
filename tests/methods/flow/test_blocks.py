"""The parts of the flow's network: differential attention, encoders and blocks."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from methods._flow.attention import DifferentialAttention
from methods._flow.blocks import Adapter, DifferentialBlock, GeneModulation, joined_linear, modulate
from methods._flow.encoders import GeneEncoder, TimeEmbedding, ValueEncoder
from methods._flow.vocabulary import GeneVocabulary


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    """Modules draw their weights from the global generator: fix it, and put it back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def explicit_attention(layer, query, key, value, query2, key2):
    """Differential attention with both softmax maps formed and subtracted, one head at a time."""
    size = query.shape[-1] // layer.heads
    dots = (layer.lambda_vectors[0] * layer.lambda_vectors[1]).sum(-1).tolist()
    weight = math.exp(dots[0]) - math.exp(dots[1]) + layer.lambda_init
    heads = []
    for head in range(layer.heads):
        part = slice(head * size, (head + 1) * size)

        def of(linear, tokens, part=part):
            return tokens @ linear.weight[part].T

        first = (of(layer.query1, query) @ of(layer.key1, key).mT / size**0.5).softmax(-1)
        second = (of(layer.query2, query2) @ of(layer.key2, key2).mT / size**0.5).softmax(-1)
        out = (first - weight * second) @ of(layer.value, value)
        out = out / (out.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.head_norm.weight
        heads.append(out * (1 - layer.lambda_init))
    return torch.cat(heads, dim=-1) @ layer.out.weight.T


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_differential_attention_equals_explicit_maps(heads):
    """Two fused calls equal the difference of two softmax maps applied to the values."""
    layer = DifferentialAttention(16, heads, depth=1)
    torch.nn.init.normal_(layer.head_norm.weight)
    query, key, value, query2, key2 = (torch.randn(2, genes, 16) for genes in (7, 5, 5, 7, 5))
    one = layer(query, key, value)
    torch.testing.assert_close(
        one, explicit_attention(layer, query, key, value, query, key), atol=1e-5, rtol=1e-4
    )
    two = layer(query, key, value, (query2, key2))
    torch.testing.assert_close(
        two, explicit_attention(layer, query, key, value, query2, key2), atol=1e-5, rtol=1e-4
    )
    assert not torch.allclose(one, two, atol=1e-3)


def test_lambda_starts_deeper_with_depth():
    """lambda_init is 0.2, 0.356, 0.471, 0.556 in the first four layers."""
    found = [DifferentialAttention(8, 1, depth).lambda_init for depth in range(4)]
    assert found == pytest.approx([0.2, 0.3555, 0.4707, 0.5561], abs=1e-4)


def test_lambda_by_hand():
    """exp(1 * 2) - exp(3 * 0.1) + 0.2 for vectors of one number in the first layer."""
    layer = DifferentialAttention(1, 1, depth=0)
    layer.lambda_vectors.data = torch.tensor([[[1.0], [3.0]], [[2.0], [0.1]]])
    assert layer.difference().item() == pytest.approx(math.exp(2) - math.exp(0.3) + 0.2, rel=1e-6)


def test_vocabulary_orders_panel_unmeasured_and_special_tokens():
    """Perturbed genes off the panel get tokens of their own; singles are paired with control."""
    vocabulary = GeneVocabulary(["A", "B", "C"], perturbed=["Z", "B"])
    assert len(vocabulary) == 6
    assert (vocabulary.control, vocabulary.unknown) == (4, 5)
    assert vocabulary.tokens(["B", "Z"]) == [1, 3]
    assert vocabulary.tokens(["B"]) == [1, 4]
    assert vocabulary.tokens([]) == [4, 4]


def test_genes_never_perturbed_share_the_unknown_token_unless_their_own_is_asked_for():
    """Measured or not, a gene that training never perturbed is `unknown` in that role."""
    vocabulary = GeneVocabulary(["A", "B"], perturbed=["B"])
    assert vocabulary.tokens(["A"]) == vocabulary.tokens(["NEVER"]) == [3, 2]
    assert vocabulary.tokens(["A", "NEVER"], untrained=True) == [0, 3]
    assert "A" in vocabulary
    assert "NEVER" not in vocabulary


def test_times_are_scaled_so_that_most_frequencies_vary():
    """At scale 1, as published, a tenth of the time changes a quarter of the frequencies at most."""

    def turned(scale: float) -> float:
        return float((0.1 * TimeEmbedding(8, scale).rates > 0.01).float().mean())

    assert turned(1000.0) > 0.95
    assert turned(1.0) < 0.27
    layer = TimeEmbedding(8)
    assert (layer(torch.tensor([0.5])) - layer(torch.tensor([0.51]))).abs().max() > 1e-3


def test_values_above_512_are_alike():
    """Encoded values are normalised, and clamped at the largest one."""
    encoder = ValueEncoder(1, 32, dropout=0.0)
    at, above, below = encoder(torch.tensor([512.0, 900.0, 1.0]).view(3, 1, 1))
    assert torch.equal(at, above)
    assert not torch.allclose(at, below)
    torch.testing.assert_close(encoder(torch.randn(2, 3, 1)).mean(-1), torch.zeros(2, 3), atol=1e-5, rtol=0)


def test_modulation_normalises_scales_and_shifts():
    """With scale 1 and shift 3, a token has mean 3 and deviation 2."""
    out = modulate(torch.randn(2, 3, 64), torch.tensor(3.0), torch.tensor(1.0))
    torch.testing.assert_close(out.mean(-1), torch.full((2, 3), 3.0))
    torch.testing.assert_close(out.std(-1, unbiased=False), torch.full((2, 3), 2.0), atol=1e-3, rtol=0)


def test_joining_first_is_the_same_as_joining_in_the_layer():
    """The perturbation's half, added once per cell, is the product with both put side by side."""
    layer, tokens, perturbation = torch.nn.Linear(16, 5), torch.randn(3, 4, 8), torch.randn(3, 8)
    joined = torch.cat([tokens, perturbation.unsqueeze(1).expand(3, 4, 8)], dim=-1)
    torch.testing.assert_close(joined_linear(layer, tokens, perturbation), layer(joined))


@pytest.mark.parametrize("meeting", [0, 6])
def test_gene_modulation_by_its_formula(meeting):
    """x + gate * (LN(x) * scale + shift), from the gene, or from where it meets the perturbation."""
    layer, tokens, genes = GeneModulation(8, meeting), torch.randn(2, 3, 8), torch.randn(3, 8)
    perturbation, hidden = torch.randn(2, 8), genes
    if meeting:
        met = perturbation @ layer.perturbation.weight.T
        hidden = genes @ layer.gene.weight.T + layer.gene.bias + met[:, None]
    three = functional.silu(hidden) @ layer.out.weight.T + layer.out.bias
    shift, gate, scale = three.split(8, dim=-1)
    centred = tokens - tokens.mean(-1, keepdim=True)
    normal = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    expected = tokens + gate * (normal * scale + shift)
    torch.testing.assert_close(layer(tokens, genes, perturbation), expected)


def test_adapter_meets_token_and_perturbation_without_a_residual_path():
    """Equal tokens differ under different perturbations, and with weights at zero nothing passes."""
    layer, tokens = Adapter(8, dropout=0.0), torch.randn(1, 3, 8).expand(2, 3, 8)
    out = layer(tokens, torch.randn(2, 8))
    assert (out[0] - out[1]).abs().max() > 1e-3
    torch.nn.init.zeros_(layer.second.weight)
    torch.nn.init.zeros_(layer.second.bias)
    assert layer(tokens, torch.randn(2, 8)).abs().max() == 0


def test_block_with_condition_weights_at_zero_is_the_identity():
    """AdaLN-Zero: at the start a block changes nothing; with weights the condition matters."""
    block, tokens = DifferentialBlock(16, 2, 0), torch.randn(2, 5, 16)
    torch.nn.init.zeros_(block.condition.weight)
    torch.nn.init.zeros_(block.condition.bias)
    one, other = torch.randn(2, 16), torch.randn(2, 16)
    assert torch.equal(block(tokens, one), tokens)
    torch.nn.init.normal_(block.condition.weight)
    assert (block(tokens, one) - block(tokens, other)).abs().max() > 1e-2


@pytest.mark.parametrize("compared", [False, True])
def test_block_by_its_formula(compared):
    """Queries and values from modulated tokens, keys from tokens as they are unless cells are compared."""
    block, (tokens, control) = DifferentialBlock(8, 2, 1), torch.randn(2, 2, 5, 8)
    condition, context = torch.randn(2, 8), torch.tensor([4, 1])
    parts = (functional.silu(condition) @ block.condition.weight.T + block.condition.bias)[:, None]
    shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = parts.split(8, dim=-1)
    ready = functional.layer_norm(tokens, (8,), eps=1e-6) * (1 + scale_a) + shift_a
    other = (control, control[:, context]) if compared else None
    keys = ready if compared else tokens
    read = block.attention(ready, keys[:, context], ready[:, context], other)
    middle = tokens + gate_a * read
    ready = functional.layer_norm(middle, (8,), eps=1e-6) * (1 + scale_f) + shift_f
    fed = block.contract(functional.gelu(block.expand(ready), approximate="tanh"))
    found = block(tokens, condition, control if compared else None, context)
    torch.testing.assert_close(found, middle + gate_f * fed, atol=1e-5, rtol=1e-4)


def test_a_gene_reads_from_its_neighbours_in_the_graph_alone():
    """Another embedding of gene 2 changes its own vector and that of gene 0, which has it for a neighbour."""
    encoder = GeneEncoder(4, 8, heads=2, dropout=0.0, graph=True)
    encoder.neighbours.mask[0, 2] = True
    before = encoder(torch.arange(4)).detach()
    torch.nn.init.normal_(encoder.embedding.weight[2])
    moved = (encoder(torch.arange(4)) - before).abs().amax(1) > 1e-6
    assert moved.tolist() == [True, False, True, False]
