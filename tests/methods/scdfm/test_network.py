"""What surrounds the network of scDFM (see `test_parity`): its size, graph, noise and discrepancy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from methods._flow.graph import correlation, neighbours, token_mask
from methods._flow.mmd import BANDWIDTHS, mmd
from methods._flow.paths import antithetic, counts_around
from methods.scdfm import ScDFM
from tests.methods.scdfm.network_case import GENES, inputs, published


def test_the_control_cell_is_seen_through_its_map_even_without_its_values():
    """Control tokens enter twice: through the fusion, and through the map that is subtracted."""
    block, random = published(layers=1).layers[0].cross_block, torch.Generator().manual_seed(4)
    condition, tokens, one, other = torch.randn(4, 2, 5, 16, generator=random)
    given = tokens, condition[:, 0]
    found = [block(*given, known) for known in (one, other, 100 * one, None, tokens)]
    assert (found[0] - found[1]).abs().max() > 1e-3
    assert all(values.isfinite().all() for values in found)
    assert (found[3] - found[4]).abs().max() > 1e-3  # without one, keys are of other tokens


def test_lambda_starts_as_published():
    starts = [published(layers=4).layers[depth].self_block.attention.lambda_init for depth in range(4)]
    assert [round(start, 3) for start in starts] == [0.2, 0.356, 0.471, 0.556]


def test_reading_from_all_genes_is_reading_from_a_context_of_all():
    flow = published()
    x_t, control, t, genes, perturbation = inputs()
    given = control.unsqueeze(-1), flow.encode(genes, perturbation), t
    whole = flow(x_t, *given)[0]
    shuffled = flow(x_t, *given, context=torch.arange(GENES).flip(0))[0]
    torch.testing.assert_close(whole, shuffled, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(whole, flow(x_t, *given, context=torch.arange(3))[0], atol=1e-3)


def test_the_paper_preset_has_the_parameters_of_the_released_checkpoint():
    """60,359,169 with a vocabulary of 6,000, whatever the panel is, as long as it fits."""
    paper = ScDFM.Config.build("paper")
    assert ScDFM.parameter_count(paper, n_genes=5029, n_perturbed=105) == 60_359_169
    assert ScDFM.parameter_count(paper, n_genes=1000, n_perturbed=30) == 60_359_169


def test_correlations_are_those_of_numpy():
    cells = np.random.default_rng(0).poisson(1.5, (60, 7)).astype(np.float32)
    cells[:, 3] = 2
    values = np.log1p(cells)
    found = correlation(sparse.csr_matrix(values))
    varied = [0, 1, 2, 4, 5, 6]
    expected = np.corrcoef(values[:, varied].T)
    np.testing.assert_allclose(found[np.ix_(varied, varied)], expected, rtol=0, atol=1e-10)
    assert (found[3] == 0).all()
    twice = correlation(sparse.csr_matrix(values), log_again=True)
    again = np.log1p(values[:, varied].astype(np.float64))  # in float32, processors round it otherwise
    np.testing.assert_allclose(twice[np.ix_(varied, varied)], np.corrcoef(again.T), rtol=0, atol=1e-10)


def test_neighbours_by_hand():
    """Gene 0 is nearest to 2 (negatively), 1 to 0, 2 to 0; gene 3 is constant."""
    correlations = np.array([[1, 0.5, -0.8, 0], [0.5, 1, 0.1, 0], [-0.8, 0.1, 1, 0], [0, 0, 0, 0.0]])
    expected = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=bool)
    np.testing.assert_array_equal(neighbours(correlations, 1), expected)
    np.testing.assert_array_equal(neighbours(correlations, 0), np.eye(4, dtype=bool))


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 12), st.integers(0, 15), st.integers(0, 100))
def test_a_graph_is_symmetric_and_everybody_keeps_enough_neighbours(genes, k, seed):
    values = np.random.default_rng(seed).normal(size=(20, genes))
    graph = neighbours(np.corrcoef(values.T), k)
    assert (graph == graph.T).all()
    assert graph.diagonal().all()
    assert (graph.sum(1) >= 1 + min(k, genes - 1)).all()


def test_tokens_outside_the_panel_read_from_themselves_alone():
    mask = token_mask(np.ones((2, 2), dtype=bool), 4)
    assert mask.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_mmd_is_the_sum_over_pairs():
    random = torch.Generator().manual_seed(0)
    sample, target = torch.randn(4, 3, generator=random), torch.randn(5, 3, generator=random) + 1

    def square(one, other):
        return float(((one - other) ** 2).sum())

    apart = [square(a, b) for i, a in enumerate(target) for j, b in enumerate(target) if i != j]
    median = sorted(apart)[(len(apart) - 1) // 2]

    def kernel(one, other):
        return sum(math.exp(-square(one, other) / (2 * width * median)) for width in BANDWIDTHS) / 4

    own = sum(kernel(a, b) for i, a in enumerate(sample) for j, b in enumerate(sample) if i != j) / 12
    theirs = sum(kernel(a, b) for i, a in enumerate(target) for j, b in enumerate(target) if i != j) / 20
    across = sum(kernel(a, b) for a in sample for b in target) / 20
    assert float(mmd(sample, target)) == pytest.approx(own + theirs - 2 * across, abs=1e-5)


def test_mmd_is_unbiased_and_sees_a_shift():
    """Of two samples of one distribution it is zero on average; of two distributions it is positive."""
    random = torch.Generator().manual_seed(1)
    draws = torch.randn(400, 2, 10, 3, generator=random)
    values = torch.stack([mmd(*pair) for pair in draws])
    assert abs(float(values.mean())) < 4 * float(values.std()) / 20
    assert values.min() < 0
    assert float(torch.stack([mmd(one, other + 2) for one, other in draws[:50]]).mean()) > 0.2


def test_count_noise_keeps_rates_and_looks_like_counts():
    expression = torch.tensor([0.0, 1.0, 2.0]).expand(40_000, 3)
    noise = counts_around(expression, torch.Generator().manual_seed(0))
    counts = noise.expm1()
    torch.testing.assert_close(counts, counts.round(), atol=1e-4, rtol=0)
    torch.testing.assert_close(counts.mean(0), expression[0].expm1(), rtol=0.03, atol=1e-6)
    assert counts[:, 2].var() > 1.5 * counts[:, 2].mean()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(0, 100))
def test_antithetic_noise_cancels_in_pairs(cells, seed):
    noise = antithetic((cells, 3), torch.Generator().manual_seed(seed))
    half = cells // 2
    assert noise.shape == (cells, 3)
    assert torch.equal(noise[:half], -noise[half : 2 * half])


def test_antithetic_noise_is_standard_normal():
    noise = antithetic((20_000, 2), torch.Generator().manual_seed(0))
    torch.testing.assert_close(noise.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(noise.var(0), torch.ones(2), atol=0.03, rtol=0)
    assert abs(float((noise.pow(4).mean() / noise.var() ** 2) - 3)) < 0.15
