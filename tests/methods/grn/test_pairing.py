"""Pairs of control and perturbed cells: optimal transport, random partners, principal components."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from methods._grn.pairing import pair_cells, principal_components, random_partners, transport_partners
from tests.methods.grn.attention_case import counts


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_transport_equals_the_best_permutation(seed):
    """With as many controls as perturbed cells, pairs have the least total squared distance of all."""
    rng = np.random.default_rng(seed)
    control, perturbed = rng.normal(size=(2, 5, 2))
    partner = transport_partners(control, perturbed, rng)
    cost = np.square(perturbed[:, None] - control).sum(-1)
    best = min(sum(cost[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(5)))
    assert sorted(partner) == list(range(5))
    assert cost[np.arange(5), partner].sum() == pytest.approx(best)


def test_pairs_respect_their_limits():
    """Controls are controls, cells belong to their perturbation, and no more are used than allowed."""
    scores = np.random.default_rng(0).normal(size=(40, 3))
    groups = {"A": np.arange(20, 30), "B": np.arange(30, 32)}
    settings_ = {"pairs_per_group": 4, "controls_per_group": 6}
    drawn = [
        pair_cells(scores, np.arange(20), groups, rng=np.random.default_rng(5), **settings_) for _ in range(2)
    ]
    for label, size in (("A", 4), ("B", 2)):
        control, perturbed = drawn[0][label]
        assert len(control) == len(perturbed) == len(set(perturbed)) == size
        assert set(control) <= set(range(20))
        assert set(perturbed) <= set(groups[label])
        np.testing.assert_array_equal(control, drawn[1][label][0])
    assert len({c for control, _ in drawn[0].values() for c in control}) <= 12


def test_principal_components_equal_those_of_a_full_decomposition():
    """Scores and loadings rebuild the best approximation of rank 3 of the centred cells."""
    cells = counts(12, 6)
    dense = cells.toarray().astype(np.float64)
    left, values, right = np.linalg.svd(dense - dense.mean(0), full_matrices=False)
    scores, loadings = principal_components(cells, 3, np.random.default_rng(0))
    np.testing.assert_allclose(scores @ loadings.T, (left[:, :3] * values[:3]) @ right[:3], atol=1e-8)
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(3), atol=1e-8)
    assert principal_components(cells[:, :1], 3, np.random.default_rng(0))[0].shape == (12, 1)


@pytest.mark.parametrize("scaling", [None, np.linspace(0.5, 2, 6)])
def test_components_of_many_cells_are_those_of_few(monkeypatch, scaling):
    """By another way, so but for signs and what float32 rounds."""
    rng = np.random.default_rng(3)
    cells = sparse.csr_matrix(rng.poisson(2, (40, 6)) * np.array([1, 5, 2, 3, 1, 4]), dtype=np.float32)
    scores, loadings = principal_components(cells, 3, np.random.default_rng(0), scaling)
    monkeypatch.setattr("methods._grn.pairing.MANY_CELLS", 10)
    monkeypatch.setattr("methods._grn.pairing.ROWS", 16)
    as_many, as_loaded = principal_components(cells, 3, np.random.default_rng(0), scaling)
    for found, known in ((as_many, scores), (as_loaded, loadings)):
        order = [np.argmax(np.abs(loadings.T @ column)) for column in as_loaded.T]
        assert sorted(order) == [0, 1, 2]
        np.testing.assert_allclose(np.abs(found), np.abs(known[:, order]), rtol=1e-4, atol=1e-5)


def test_transport_shares_controls_by_weight():
    """Two near pairs of which one control is for three cells: each control is taken equally often."""
    control, perturbed = np.array([[0.0], [10.0]]), np.array([[0.1], [0.2], [10.1], [10.2]])
    partner = transport_partners(control, perturbed, np.random.default_rng(0))
    assert partner.tolist() == [0, 0, 1, 1]
    # With one cell more on the left, weights can no longer follow distance: a cell is divided.
    lone = np.array([[0.1], [0.2], [0.3]])
    drawn = [transport_partners(control, lone, np.random.default_rng(seed)).tolist() for seed in range(200)]
    assert {tuple(d[:2]) for d in drawn} <= {(0, 0), (0, 1), (1, 0)}
    assert np.mean([sum(d) for d in drawn]) == pytest.approx(1.5, abs=0.15)


def test_random_partners_are_any_control():
    """Each of four controls is drawn as often as any other, wherever it lies."""
    control, perturbed = np.array([[0.0], [1.0], [50.0], [99.0]]), np.zeros((4000, 1))
    drawn = random_partners(control, perturbed, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn) / 4000, 0.25, atol=0.03)


def test_pairing_decides_who_is_who():
    """By transport a cell gets the control beside it; at random it seldom does."""
    scores = np.concatenate([np.arange(30.0), np.arange(30.0) + 0.1])[:, None]
    groups = {"A": np.arange(30, 60)}
    near = {}
    for pairing in ("transport", "random"):
        control, perturbed = pair_cells(
            scores, np.arange(30), groups, pairs_per_group=30, controls_per_group=30, pairing=pairing,
            rng=np.random.default_rng(0),
        )["A"]  # fmt: skip
        near[pairing] = np.mean(control == perturbed - 30)
    assert near["transport"] == 1
    assert near["random"] < 0.3


def test_one_cell_gets_one_control():
    scores = np.random.default_rng(0).normal(size=(5, 2))
    for pairing in ("transport", "random"):
        control, perturbed = pair_cells(
            scores, np.arange(4), {"A": np.array([4])}, pairs_per_group=9, controls_per_group=9,
            pairing=pairing, rng=np.random.default_rng(0),
        )["A"]  # fmt: skip
        assert perturbed.tolist() == [4]
        assert len(control) == 1
        assert control[0] in range(4)


def test_cells_and_controls_are_drawn_at_random():
    """Over many seeds every cell of a perturbation and every control is used, not the first ones alone."""
    scores, used = np.zeros((20, 1)), set()
    for seed in range(40):
        control, perturbed = pair_cells(
            scores, np.arange(10), {"A": np.arange(10, 20)}, pairs_per_group=3, controls_per_group=3,
            rng=np.random.default_rng(seed),
        )["A"]  # fmt: skip
        used |= {*control.tolist(), *perturbed.tolist()}
    assert used == set(range(20))
