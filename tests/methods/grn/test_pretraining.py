"""Pretraining of the gene transformer on hidden values, and the cache of what it learned."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from methods._flow.cells import cells_digest, moments, standardise
from methods._grn.pretrain import (
    PretrainOptions,
    cache_file,
    load_cached,
    loadings,
    masked_error,
    new_transformer,
    pretrain,
    store,
)
from tests.bomb import Bomb
from tests.methods.grn.attention_case import OPTIONS, counts, transformer


def test_moments_are_those_of_the_dense_matrix():
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


@pytest.mark.parametrize("value", [1.5, 1.2345])
def test_moments_do_not_drift_with_the_number_of_cells(value):
    """Of 50,000 cells a constant gene is constant, and a mean is right to the last digits of float32."""
    varied = np.log1p(np.random.default_rng(0).poisson(3.0, size=50_000))
    dense = np.stack([np.full(50_000, value), varied], axis=1).astype(np.float32)
    mean, deviation = moments(sparse.csr_matrix(dense))
    assert deviation[0] == 0
    np.testing.assert_allclose(mean, dense.astype(np.float64).mean(0), rtol=2e-7)
    np.testing.assert_allclose(deviation[1], dense[:, 1].astype(np.float64).std(), rtol=2e-7)


def test_masked_error_counts_masked_entries_only():
    """Errors 1 and 3 under the mask average to 5, whatever lies elsewhere; an empty mask gives 0."""
    predicted, target = torch.tensor([[1.0, 9.0, 3.0]]), torch.zeros(1, 3)
    mask = torch.tensor([[True, False, True]])
    assert masked_error(predicted, target, mask) == 5
    assert masked_error(predicted, target, ~mask & mask) == 0


def test_pretraining_learns_genes_that_follow_another():
    """Where all genes of a cell are equal, hidden values become predictable."""
    level = np.random.default_rng(0).uniform(0, 3, size=(200, 1)).astype(np.float32)
    cells = sparse.csr_matrix(np.repeat(level, 8, axis=1))
    options = PretrainOptions(width=16, heads=2, layers=1, steps=150, batch_size=32, learning_rate=5e-3)
    losses = [loss["loss"] for _, loss in pretrain(new_transformer(8, options, 0), cells, options, 0)]
    assert np.mean(losses[:3]) > 0.8 > 0.3 > np.mean(losses[-10:])


def test_pretraining_repeats_itself_and_leaves_the_global_state_alone():
    """Same seed, same weights; torch's and NumPy's global random states stay as they were."""
    before = torch.get_rng_state()
    models = [new_transformer(9, OPTIONS, 1) for _ in range(2)]
    for model in models:
        assert [step for step, _ in pretrain(model, counts(20, 9), OPTIONS, 1)] == [1, 2, 3, 4, 5]
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


def test_cache_gives_back_what_was_stored(tmp_path):
    """A stored transformer is read back exactly, and no part file stays."""
    model = transformer()
    path = tmp_path / "cache" / "model.pt"
    store(model, path)
    found = load_cached(path, 13, OPTIONS)
    assert found is not None
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), model.parameters(), strict=True))
    assert [file.name for file in path.parent.iterdir()] == ["model.pt"]


def test_damaged_or_absent_cache_is_none(tmp_path):
    """No file, a cut file and weights of another shape all mean: pretrain again."""
    path = tmp_path / "model.pt"
    assert load_cached(path, 13, OPTIONS) is None
    store(transformer(), path)
    assert load_cached(path, 14, OPTIONS) is None
    path.write_bytes(path.read_bytes()[:100])
    assert load_cached(path, 13, OPTIONS) is None


def test_a_failed_store_leaves_nothing(tmp_path, monkeypatch):
    """When writing fails, neither the file nor its part is there."""
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        store(transformer(), tmp_path / "cache" / "model.pt")
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_file_depends_on_cells_options_and_seed(tmp_path):
    """A changed value, gene name, option or seed gives another file; the same gives the same."""
    cells, genes = counts(5, 3), ["A", "B", "C"]
    changed = cells.copy()
    changed.data[0] += 1
    digests = [cells_digest(*given) for given in ((cells, genes), (changed, genes), (cells, ["A", "B", "D"]))]
    assert len(set(digests)) == 3
    other = PretrainOptions(steps=7)
    cpu = torch.device("cpu")
    names = {cache_file(tmp_path, d, o, s, cpu) for d in digests for o in (OPTIONS, other) for s in (0, 1)}
    assert len(names) == 12
    assert cells_digest(cells.copy(), genes) == digests[0]


def test_cache_file_depends_on_what_rounds(tmp_path, monkeypatch):
    """Another number of CPU threads or a GPU gives another file; a GPU does not ask for threads."""

    def files(threads: int) -> tuple[Path, Path]:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        cpu, gpu = (cache_file(tmp_path, "cells", OPTIONS, 0, torch.device(d)) for d in ("cpu", "cuda"))
        return cpu, gpu

    one, two = files(1), files(2)
    assert len({*one, *two}) == 3
    assert one == files(1)
    assert one[1] == two[1]


def test_gene_vectors_start_from_the_loadings_of_the_cells():
    """Before the first step both vectors of a gene hold its loadings, scaled to unit size, in front."""
    cells = counts(40, 9)
    options = PretrainOptions(width=8, heads=2, layers=1, steps=1, learning_rate=1e-12)
    model = new_transformer(9, options, 0)
    list(pretrain(model, cells, options, seed=0))
    _, deviation = moments(cells)
    expected = torch.from_numpy(loadings(cells, deviation, 8, 0))
    expected = expected / expected.square().mean(0).sqrt()
    torch.testing.assert_close(model.gene_embedding.weight.detach(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.gene_scaling.weight.detach(), 0.3 * expected, atol=1e-5, rtol=1e-5)


def test_pretraining_takes_fewer_genes_than_a_step_asks_for_and_constant_ones():
    """Of five genes, one never expressed and one constant, all losses are finite."""
    cells = counts(20, 5).tolil()
    cells[:, 0], cells[:, 1] = 0, 1
    losses = [loss["loss"] for _, loss in pretrain(new_transformer(5, OPTIONS, 0), cells.tocsr(), OPTIONS, 0)]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("write", [torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb))])
def test_a_cached_pickle_is_not_run(tmp_path, write):
    write(Bomb(tmp_path / "ran"), tmp_path / "model.pt")
    assert load_cached(tmp_path / "model.pt", 13, OPTIONS) is None
    assert not (tmp_path / "ran").exists()
