"""The gene transformer, its attention, the pairing of cells and the latents made from them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from methods._grn.features import (
    Standardiser,
    attention_change,
    batches,
    embedding_basis,
    keep_largest,
    project_sparse,
    scaled_top_k,
)
from methods._grn.pairing import pair_cells, principal_components, transport_partners
from methods._grn.pretrain import (
    PretrainOptions,
    cache_file,
    cells_digest,
    load_cached,
    masked_error,
    moments,
    new_transformer,
    pretrain,
    standardise,
    store,
)
from methods._grn.transformer import GeneTransformer

OPTIONS = PretrainOptions(width=8, heads=2, layers=2, steps=5, batch_size=4, genes_per_step=6)


def transformer(n_genes: int = 13, seed: int = 3) -> GeneTransformer:
    """Build a small untrained transformer whose parameters need no gradient."""
    return new_transformer(n_genes, OPTIONS, seed).requires_grad_(False)


def counts(cells: int, genes: int, seed: int = 0) -> sparse.csr_matrix:
    """Log values of Poisson counts."""
    drawn = np.random.default_rng(seed).poisson(1.5, size=(cells, genes))
    return sparse.csr_matrix(np.log1p(drawn).astype(np.float32))


def dense_attention(model: GeneTransformer, values: torch.Tensor, layer: int) -> torch.Tensor:
    """Attention (cells, heads, genes, genes) straight from its definition, one cell and head at a time."""
    tokens = model.embed(values)
    for earlier in list(model.layers)[:layer]:
        tokens = earlier(tokens)
    chosen = model.layers[layer]
    cells, genes, width = tokens.shape
    size = width // chosen.heads
    weight, bias = chosen.in_proj.weight, chosen.in_proj.bias
    maps = torch.empty(cells, chosen.heads, genes, genes)
    for cell, head in itertools.product(range(cells), range(chosen.heads)):
        q_rows = slice(head * size, (head + 1) * size)
        k_rows = slice(width + head * size, width + (head + 1) * size)
        q = tokens[cell] @ weight[q_rows].T + bias[q_rows]
        k = tokens[cell] @ weight[k_rows].T + bias[k_rows]
        scores = (q @ k.T / size**0.5).exp()
        maps[cell, head] = scores / scores.sum(1, keepdim=True)
    return maps


@pytest.mark.parametrize("block", [1, 4, 13, 100])
@pytest.mark.parametrize("layer", [0, 1])
def test_streamed_attention_equals_the_dense_maps(block: int, layer: int) -> None:
    """Blocks of rows, put together, are the dense softmax maps averaged over heads, whatever their size."""
    model, values = transformer(), torch.rand(3, 13) * 3
    streamed = torch.cat([maps for _, maps in model.attention_rows(values, layer, block)], dim=1)
    torch.testing.assert_close(streamed, dense_attention(model, values, layer).mean(1))


def test_attention_rows_sum_to_one_and_count_layers_from_the_end() -> None:
    """Layer -1 is the last, and every row of attention is a distribution."""
    model, values = transformer(), torch.rand(2, 13)
    (_, last), (_, second) = (
        next(model.attention_rows(values, -1, 13)),
        next(model.attention_rows(values, 1, 13)),
    )
    torch.testing.assert_close(last, second)
    torch.testing.assert_close(last.sum(-1), torch.ones(2, 13))


def test_encoder_layer_equals_the_post_norm_encoder_of_torch() -> None:
    """With the same weights, the fused layer is torch's own post-norm ReLU encoder layer."""
    layer = transformer().layers[0]
    reference = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    names = {"in_proj.": "self_attn.in_proj_", "out_proj.": "self_attn.out_proj."}
    state = layer.state_dict()
    for ours, theirs in names.items():
        state = {key.replace(ours, theirs): value for key, value in state.items()}
    reference.load_state_dict(state)
    tokens = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(tokens), reference.train()(tokens))


def test_hidden_values_are_not_seen() -> None:
    """The prediction does not change with a value that is masked, and does with one that is not."""
    model, values = transformer(), torch.rand(1, 13)
    changed, masked = values.clone(), torch.zeros(1, 13, dtype=torch.bool)
    changed[0, 4] += 1
    masked[0, 4] = True
    torch.testing.assert_close(model(values, masked=masked), model(changed, masked=masked))
    assert not torch.allclose(model(values), model(changed))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_sparse_projection_equals_the_dense_product(k: int, dimensions: int, seed: int) -> None:
    """Keeping k entries and projecting them is the dense product with all other entries set to zero."""
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(2, 7, 7, generator=generator)
    basis = torch.randn(7, dimensions, generator=generator)
    dense = torch.zeros_like(delta)
    for cell, row in itertools.product(range(2), range(7)):
        top = sorted(range(7), key=lambda column: -abs(float(delta[cell, row, column])))[:k]
        dense[cell, row, top] = delta[cell, row, top]
    torch.testing.assert_close(project_sparse(*keep_largest(delta, k), basis), dense @ basis)


def test_latents_equal_the_dense_reference() -> None:
    """Streamed latents are top-K of the dense attention difference times the basis."""
    model = transformer()
    control, perturbed = torch.rand(2, 4, 13, generator=torch.Generator().manual_seed(1))
    basis = embedding_basis(model.gene_vectors(), 3)
    delta = dense_attention(model, perturbed, 1).mean(1) - dense_attention(model, control, 1).mean(1)
    threshold = delta.abs().sort(-1, descending=True).values[..., 4:5]
    expected = (delta * (delta.abs() >= threshold)) @ basis
    latents = attention_change(model, control, perturbed, basis, top_k=5, layer=1, block=4)
    torch.testing.assert_close(latents, expected, atol=1e-6, rtol=1e-4)


def test_the_same_cell_twice_changes_no_attention() -> None:
    """Delta attention of a cell against itself is zero."""
    model, cells = transformer(), torch.rand(2, 13)
    basis = embedding_basis(model.gene_vectors(), 3)
    assert attention_change(model, cells, cells, basis, top_k=4).abs().max() < 1e-6


def test_basis_holds_principal_scores() -> None:
    """The basis has orthogonal columns of falling length, and all of them keep all distances."""
    embeddings = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    basis = embedding_basis(embeddings, 5)
    gram = basis.T @ basis
    torch.testing.assert_close(gram, gram.diagonal().diag(), atol=1e-4, rtol=0)
    assert (gram.diagonal().diff() <= 0).all()
    torch.testing.assert_close(torch.cdist(basis, basis), torch.cdist(embeddings, embeddings))
    assert embedding_basis(embeddings, 64).shape == (9, 5)


def test_standardised_training_latents_have_mean_zero_and_deviation_one() -> None:
    """Each gene and dimension is standardised over pairs; a constant one becomes zero."""
    latents = torch.randn(50, 6, 3, generator=torch.Generator().manual_seed(0)) * 7e-5 + 3e-4
    latents[:, 2, 1] = 4e-4
    standard = Standardiser.fit(latents).apply(latents)
    torch.testing.assert_close(standard.mean(0), torch.zeros(6, 3), atol=1e-4, rtol=0)
    expected = torch.ones(6, 3)
    expected[2, 1] = 0
    torch.testing.assert_close(standard.std(0, unbiased=False), expected, atol=1e-4, rtol=0)


def test_kept_entries_scale_with_the_panel() -> None:
    """K is as given from 1,000 genes up, in proportion below, at least 1 and at most the panel."""
    assert [scaled_top_k(30, genes) for genes in (5000, 1000, 200, 10, 1)] == [30, 30, 6, 1, 1]
    assert scaled_top_k(1000, 3) == 3


def test_batches_cover_the_range_once() -> None:
    """Slices follow one another and end at the total."""
    assert [(part.start, part.stop) for part in batches(7, 3)] == [(0, 3), (3, 6), (6, 7)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_transport_equals_the_best_permutation(seed: int) -> None:
    """With as many controls as perturbed cells, pairs have the least total squared distance of all."""
    rng = np.random.default_rng(seed)
    control, perturbed = rng.normal(size=(2, 5, 2))
    partner = transport_partners(control, perturbed, rng)
    cost = np.square(perturbed[:, None] - control).sum(-1)
    best = min(sum(cost[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(5)))
    assert sorted(partner) == list(range(5))
    assert cost[np.arange(5), partner].sum() == pytest.approx(best)


def test_pairs_respect_their_limits() -> None:
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


def test_principal_components_equal_those_of_a_full_decomposition() -> None:
    """Scores and loadings rebuild the best approximation of rank 3 of the centred cells."""
    cells = counts(12, 6)
    dense = cells.toarray().astype(np.float64)
    left, values, right = np.linalg.svd(dense - dense.mean(0), full_matrices=False)
    scores, loadings = principal_components(cells, 3, np.random.default_rng(0))
    np.testing.assert_allclose(scores @ loadings.T, (left[:, :3] * values[:3]) @ right[:3], atol=1e-8)
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(3), atol=1e-8)
    assert principal_components(cells[:, :1], 3, np.random.default_rng(0))[0].shape == (12, 1)


def test_moments_are_those_of_the_dense_matrix() -> None:
    """Mean and deviation per gene, 0 for a constant one; standardised cells have mean 0 and deviation 1."""
    cells = counts(30, 4).tolil()
    cells[:, 2] = 0
    mean, deviation = moments(cells.tocsr())
    dense = cells.toarray()
    np.testing.assert_allclose(mean, dense.mean(0), rtol=1e-5)
    np.testing.assert_allclose(deviation, dense.std(0), rtol=1e-4)
    standard = standardise(cells.tocsr(), mean, deviation)
    torch.testing.assert_close(standard.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(0, unbiased=False), torch.tensor([1.0, 1, 0, 1]))


def test_masked_error_counts_masked_entries_only() -> None:
    """Errors 1 and 3 under the mask average to 5, whatever lies elsewhere; an empty mask gives 0."""
    predicted, target = torch.tensor([[1.0, 9.0, 3.0]]), torch.zeros(1, 3)
    mask = torch.tensor([[True, False, True]])
    assert masked_error(predicted, target, mask) == 5
    assert masked_error(predicted, target, ~mask & mask) == 0


def test_pretraining_learns_genes_that_follow_another() -> None:
    """Where all genes of a cell are equal, hidden values become predictable."""
    level = np.random.default_rng(0).uniform(0, 3, size=(200, 1)).astype(np.float32)
    cells = sparse.csr_matrix(np.repeat(level, 8, axis=1))
    options = PretrainOptions(width=16, heads=2, layers=1, steps=150, batch_size=32, learning_rate=5e-3)
    losses = [loss["loss"] for _, loss in pretrain(new_transformer(8, options, 0), cells, options, 0)]
    assert np.mean(losses[:3]) > 0.8 > 0.3 > np.mean(losses[-10:])


def test_pretraining_repeats_itself_and_leaves_the_global_state_alone() -> None:
    """Same seed, same weights; torch's and NumPy's global random states stay as they were."""
    before = torch.get_rng_state()
    models = [new_transformer(9, OPTIONS, 1) for _ in range(2)]
    for model in models:
        assert [step for step, _ in pretrain(model, counts(20, 9), OPTIONS, 1)] == [1, 2, 3, 4, 5]
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


def test_cache_gives_back_what_was_stored(tmp_path: Path) -> None:
    """A stored transformer is read back exactly, and no part file stays."""
    model = transformer()
    path = tmp_path / "cache" / "model.pt"
    store(model, path)
    found = load_cached(path, 13, OPTIONS)
    assert found is not None
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), model.parameters(), strict=True))
    assert [file.name for file in path.parent.iterdir()] == ["model.pt"]


def test_damaged_or_absent_cache_is_none(tmp_path: Path) -> None:
    """No file, a cut file and weights of another shape all mean: pretrain again."""
    path = tmp_path / "model.pt"
    assert load_cached(path, 13, OPTIONS) is None
    store(transformer(), path)
    assert load_cached(path, 14, OPTIONS) is None
    path.write_bytes(path.read_bytes()[:100])
    assert load_cached(path, 13, OPTIONS) is None


def test_a_failed_store_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails, neither the file nor its part is there."""
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        store(transformer(), tmp_path / "cache" / "model.pt")
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_file_depends_on_cells_options_and_seed(tmp_path: Path) -> None:
    """A changed value, gene name, option or seed gives another file; the same gives the same."""
    cells, genes = counts(5, 3), ["A", "B", "C"]
    changed = cells.copy()
    changed.data[0] += 1
    digests = [cells_digest(*given) for given in ((cells, genes), (changed, genes), (cells, ["A", "B", "D"]))]
    assert len(set(digests)) == 3
    other = PretrainOptions(steps=7)
    names = {cache_file(tmp_path, d, o, s) for d in digests for o in (OPTIONS, other) for s in (0, 1)}
    assert len(names) == 12
    assert cells_digest(cells.copy(), genes) == digests[0]
