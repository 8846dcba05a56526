"""The change of attention as latents: projected, streamed, averaged and standardised."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods._flow.cells import slices
from methods._grn.features import (
    Projection,
    Standardiser,
    attention_change,
    embedding_basis,
    keep_largest,
    mean_map,
    project_sparse,
    scaled_top_k,
)
from methods._grnflow.latents import MapReader, training_latents
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from tests.methods.grn.attention_case import LargestTensor, counts, dense_maps, expression, source

CPU = torch.device("cpu")


def loops(change: torch.Tensor, projection: Projection) -> torch.Tensor:
    """A projection, one entry at a time."""
    cells, rows, genes = change.shape
    found = torch.zeros(cells, rows, projection.basis.shape[1])
    for cell, row in itertools.product(range(cells), range(rows)):
        by_size = sorted(range(genes), key=lambda column: -abs(float(change[cell, row, column])))
        for column in by_size[: projection.top_k]:
            value = change[cell, row, column]
            found[cell, row] += (abs(value) if projection.magnitude else value) * projection.basis[column]
    return found


@settings(max_examples=40, deadline=None)
@given(st.none() | st.integers(1, 9), st.integers(1, 4), st.booleans(), st.integers(0, 1000))
def test_projections_equal_explicit_loops(top_k, dimensions, magnitude, seed):
    """Dense, of the K largest entries (K may exceed the panel), and of magnitudes."""
    generator = torch.Generator().manual_seed(seed)
    change = torch.randn(2, 5, 7, generator=generator)
    project = Projection(torch.randn(7, dimensions, generator=generator), top_k, magnitude)
    torch.testing.assert_close(project(change), loops(change, project), atol=1e-5, rtol=1e-5)


def test_projection_by_hand():
    """Of the row 1 -3 2, K = 2 keeps -3 and 2."""
    row, basis = torch.tensor([[1.0, -3.0, 2.0]]), torch.tensor([[1.0], [10.0], [100.0]])
    assert Projection(basis)(row).item() == 171
    assert Projection(basis, top_k=2)(row).item() == 170
    assert Projection(basis, top_k=2, magnitude=True)(row).item() == 230
    assert Projection(torch.ones(3, 1), magnitude=True)(row).item() == 6


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_sparse_projection_equals_the_dense_product(k, dimensions, seed):
    """Keeping k entries and projecting them is the dense product with all other entries set to zero."""
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(2, 7, 7, generator=generator)
    basis = torch.randn(7, dimensions, generator=generator)
    dense = torch.zeros_like(delta)
    for cell, row in itertools.product(range(2), range(7)):
        top = sorted(range(7), key=lambda column: -abs(float(delta[cell, row, column])))[:k]
        dense[cell, row, top] = delta[cell, row, top]
    torch.testing.assert_close(project_sparse(*keep_largest(delta, k), basis), dense @ basis)


@pytest.mark.parametrize("block", [1, 4, 13, 100])
@pytest.mark.parametrize("top_k", [None, 5, 50])
def test_latents_equal_the_dense_reference(block, top_k):
    """Streamed latents are the projection of the whole attention difference."""
    read = source()
    control, perturbed = expression(4, seed=1), expression(4, seed=2)
    project = Projection(embedding_basis(read.gene_vectors(), 3), top_k)
    expected = loops(dense_maps(read, perturbed) - dense_maps(read, control), project)
    latents = attention_change(read, control, perturbed, project, block)
    torch.testing.assert_close(latents, expected, atol=1e-6, rtol=1e-4)
    assert latents.abs().max() > 1e-4


def test_streamed_latents_equal_the_dense_ones_at_a_moderate_size():
    """300 genes, width 64, 4 heads, the 30 largest changes: within 1e-5."""
    read = source(300, width=64, heads=4)
    control, perturbed = expression(2, 300, seed=1), expression(2, 300, seed=2)
    change = dense_maps(read, perturbed) - dense_maps(read, control)
    threshold = change.abs().sort(-1, descending=True).values[..., 29:30]
    expected = (change * (change.abs() >= threshold)) @ read.gene_vectors()
    latents = attention_change(read, control, perturbed, Projection(read.gene_vectors(), 30), block=64)
    assert (latents - expected).abs().max() < 1e-5
    assert expected.abs().max() > 1e-3


def test_no_whole_map_is_held():
    """Of a pair with 300 genes in blocks of 8, nothing reaches the size of one map."""
    read = source(300, heads=4)
    control, perturbed = expression(1, 300, seed=1), expression(1, 300, seed=2)
    with LargestTensor() as largest:
        attention_change(read, control, perturbed, Projection(read.gene_vectors(), 9), block=8)
    assert 0 < largest.most < 300 * 300


def test_the_same_cell_twice_changes_no_attention():
    """Delta attention of a cell against itself is zero, and of swapped sides the opposite."""
    read, one, other = source(), expression(2), expression(2, seed=1)
    project = Projection(read.gene_vectors(), 4)
    assert attention_change(read, one, one, project).abs().max() < 1e-6
    there, back = attention_change(read, one, other, project), attention_change(read, other, one, project)
    torch.testing.assert_close(there, -back)


@pytest.mark.parametrize(("at_once", "block"), [(1, 4), (2, 13), (0, 100), (50, 1)])
def test_mean_map_is_the_mean_of_the_dense_maps(at_once, block):
    read, cells = source(), expression(5)
    torch.testing.assert_close(mean_map(read, cells, at_once, block), dense_maps(read, cells).mean(0))


def test_basis_holds_principal_scores():
    """The basis has orthogonal columns of falling length, and all of them keep all distances."""
    embeddings = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    basis = embedding_basis(embeddings, 5)
    gram = basis.T @ basis
    torch.testing.assert_close(gram, gram.diagonal().diag(), atol=1e-4, rtol=0)
    assert (gram.diagonal().diff() <= 0).all()
    torch.testing.assert_close(torch.cdist(basis, basis), torch.cdist(embeddings, embeddings))
    assert embedding_basis(embeddings, 64).shape == (9, 5)


def test_signs_of_the_basis_are_fixed():
    """The largest entry of each column is positive, so that mirrored vectors give the same basis."""
    embeddings = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    basis = embedding_basis(embeddings, 3)
    assert (basis.gather(0, basis.abs().argmax(0, keepdim=True)) > 0).all()
    torch.testing.assert_close(embedding_basis(embeddings.flip(1), 3), basis)


def test_standardised_training_latents_have_mean_zero_and_deviation_one():
    """Each gene and dimension is standardised over pairs; a constant one becomes zero."""
    latents = torch.randn(50, 6, 3, generator=torch.Generator().manual_seed(0)) * 7e-5 + 3e-4
    latents[:, 2, 1] = 4e-4
    standard = Standardiser.fit(latents).apply(latents)
    torch.testing.assert_close(standard.mean(0), torch.zeros(6, 3), atol=1e-4, rtol=0)
    expected = torch.ones(6, 3)
    expected[2, 1] = 0
    torch.testing.assert_close(standard.std(0, unbiased=False), expected, atol=1e-4, rtol=0)


def test_kept_entries_scale_with_the_panel():
    """K is as given from 1,000 genes up, in proportion below, at least 1 and at most the panel."""
    assert [scaled_top_k(30, genes) for genes in (5000, 1000, 200, 10, 1)] == [30, 30, 6, 1, 1]
    assert scaled_top_k(1000, 3) == 3


def test_slices_cover_the_range_once():
    """Slices follow one another and end at the total; a size below one is one."""
    assert [(part.start, part.stop) for part in slices(7, 3)] == [(0, 3), (3, 6), (6, 7)]
    assert [(part.start, part.stop) for part in slices(2, 0)] == [(0, 1), (1, 2)]


PAIRS = {
    "A": (np.array([0, 0, 3]), np.array([10, 11, 12])),
    "B": (np.array([1, 2, 4, 5]), np.array([13, 14, 15, 16])),
}


def reader() -> MapReader:
    """Reads the maps of twenty cells."""
    return MapReader(source(), counts(20, 13), CPU)


def latents(project: Projection, of: str = "cells", each: int = 3, seed: int = 0) -> torch.Tensor:
    """Latents of two perturbations of three and four pairs."""
    config = GRNFlowSparsePCA.Config(attention_of=of, latents_per_perturbation=each)
    return training_latents(reader(), PAIRS, project, config, seed)[0]


def standardised(raw: torch.Tensor) -> torch.Tensor:
    """Mean 0 and deviation 1 over all latents, by hand."""
    return (raw - raw.mean(0)) / raw.std(0, unbiased=False)


def test_latents_of_cells_are_changes_of_pairs_in_standard_units():
    """All three pairs of A and three of four of B, over all of which mean is 0 and deviation 1."""
    project = Projection(source().gene_vectors(), 5)
    found = latents(project)
    assert found.shape == (2, 3, 13, 8)
    assert found.dtype == torch.float16
    cells = torch.from_numpy(counts(20, 13).toarray())
    changes = {
        label: attention_change(source(), cells[control], cells[perturbed], project)
        for label, (control, perturbed) in PAIRS.items()
    }
    # Which pair of B is missing is random: one choice of four explains everything.
    fits = []
    for out in range(4):
        kept = [pair for pair in range(4) if pair != out]
        expected = standardised(torch.cat([changes["A"], changes["B"][kept]]))
        both = (found.flatten(0, 1).float().flatten(1), expected.flatten(1))
        a, b = (values[torch.argsort(values[:, 0])] for values in both)
        fits.append(torch.allclose(a, b, atol=5e-3))
    assert sum(fits) == 1
    flat = found.flatten(0, 1).float()
    torch.testing.assert_close(flat.mean(0), torch.zeros(13, 8), atol=2e-3, rtol=0)
    torch.testing.assert_close(flat.std(0, unbiased=False), torch.ones(13, 8), atol=2e-3, rtol=0)


def test_every_perturbation_has_as_many_latents_whatever_its_number_of_pairs():
    """Drawn again where there are too few, once each where there are enough."""
    project = Projection(source().gene_vectors())
    many = latents(project, each=50)
    assert many.shape == (2, 50, 13, 8)
    different = [len(torch.unique(group.float().flatten(1).round(decimals=2), dim=0)) for group in many]
    assert different == [3, 4]
    exact = latents(project, each=4)[1].float()
    assert len(torch.unique(exact.flatten(1), dim=0)) == 4


def test_which_pairs_are_read_follows_the_seed():
    project = Projection(source().gene_vectors())
    one, same, other = (latents(project, each=2, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_of_means_there_is_one_latent_per_perturbation():
    """The projection of the mean perturbed map less the mean control map, standardised over both."""
    project = Projection(source().gene_vectors(), 5)
    found = latents(project, of="means")
    assert found.shape == (2, 1, 13, 8)
    maps = dense_maps(source(), torch.from_numpy(counts(20, 13).toarray()))
    raw = [maps[perturbed].mean(0) - maps[control].mean(0) for control, perturbed in PAIRS.values()]
    expected = standardised(loops(torch.stack(raw), project))
    torch.testing.assert_close(found[:, 0].float(), expected, atol=5e-3, rtol=0)


def test_changes_of_mean_maps_are_perturbed_minus_control():
    """Signed, one whole matrix per perturbation."""
    maps = dense_maps(source(), torch.from_numpy(counts(20, 13).toarray()))
    for control, perturbed in PAIRS.values():
        found = reader().mean_change(control, perturbed)
        torch.testing.assert_close(found, maps[perturbed].mean(0) - maps[control].mean(0), atol=1e-6, rtol=0)
    rows = np.array([3, 1, 4])
    np.testing.assert_allclose(reader().mean(rows).numpy(), maps[rows].mean(0), atol=1e-6)
