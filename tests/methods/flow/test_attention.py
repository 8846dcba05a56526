"""Attention of the flow on CPUs is what the fused kernels give, in whatever pieces it is computed."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from methods._flow import attention
from methods._flow.attention import attend
from methods._flow.encoders import GraphAttention
from tests.methods.grn.attention_case import LargestTensor

TOKENS, WIDTH = 7, 8


@pytest.mark.parametrize(("entries", "most"), [(1, 216), (200, 216), (10_000, 972)])
def test_maps_formed_in_bfloat16_equal_fused_ones(entries, most, monkeypatch):
    """All at once, two heads of 81 entries at a time, or fused where a single one is too large.

    In pieces nothing is larger than the queries themselves.
    """
    monkeypatch.setattr(attention, "SMALL_MAP", entries)
    random = torch.Generator().manual_seed(5)
    parts = [torch.randn(3, 4, 9, 2, generator=random).bfloat16().requires_grad_() for _ in range(3)]
    expected = functional.scaled_dot_product_attention(*(part.float() for part in parts))
    with LargestTensor() as largest:
        found = attend(*parts)
        gradients = torch.autograd.grad(found.float().square().sum(), parts)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0.02)
    for gradient, other in zip(gradients, torch.autograd.grad(expected.square().sum(), parts), strict=True):
        torch.testing.assert_close(gradient, other, atol=0.05, rtol=0.05)
    assert largest.most == most


def test_pieces_do_not_change_a_number(monkeypatch):
    """How many heads are done at once is of no consequence but rounding: a library adds up as it likes."""
    random = torch.Generator().manual_seed(6)
    parts = [torch.randn(3, 4, count, 4, generator=random).bfloat16() for count in (9, 5, 5)]
    whole = attend(*parts)
    monkeypatch.setattr(attention, "SMALL_MAP", 100)
    torch.testing.assert_close(attend(*parts), whole)


def graph_attention(dropout: float) -> GraphAttention:
    """A layer with a random graph, in training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        layer = GraphAttention(TOKENS, WIDTH, 2, dropout).train()
        layer.mask |= torch.rand(TOKENS, TOKENS) < 0.4
        torch.nn.init.normal_(layer.attention.in_proj_bias)
    return layer


def test_the_graph_is_read_alike_with_and_without_dropout():
    """At a dropout of almost nothing, values and gradients are those of evaluation."""
    layer, tokens = graph_attention(1e-12), torch.tensor([4, 0, 2])
    vectors = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(8))
    found = layer(vectors, tokens)
    expected = layer.eval()(vectors, tokens)
    torch.testing.assert_close(found, expected)
    weights = list(layer.parameters())
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), weights),
        torch.autograd.grad(expected.square().sum(), weights),
        strict=True,
    ):
        assert other.abs().max() > 1e-4
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_what_is_dropped_of_the_graph_is_distributed_as_in_pytorch():
    """Over many draws the read vectors have the mean and the variance that `MultiheadAttention` gives."""
    layer, draws = graph_attention(0.3), 4000
    query, memory = torch.randn(2, TOKENS, WIDTH, generator=torch.Generator().manual_seed(9))
    hidden = ~layer.mask
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(10)
        ours = torch.stack([layer._read_with_dropout(query, memory, hidden) for _ in range(draws)])
        theirs = torch.stack(
            [
                layer.attention(query, memory, memory, attn_mask=hidden, need_weights=False)[0]
                for _ in range(draws)
            ]
        )
    spread = theirs.std(0)
    assert spread.mean() > 0.1
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 6 * spread * (2 / draws) ** 0.5 + 1e-5).all()
    torch.testing.assert_close(ours.std(0), spread, rtol=0.1, atol=1e-5)
