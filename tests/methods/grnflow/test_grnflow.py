"""GRNFlow from end to end, on cells made for the purpose: what every variant shares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import methods._trained_flow.method as flow_method
from benchmark.errors import BenchmarkError, NotFittedError
from benchmark.perturbation import Perturbation
from methods._grnflow.pairs import paired_cells
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from tests.methods.grnflow.grnflow_case import (
    cells,
    fitted,
    new,
    predicted,
    recorded,
    training_cells,
    validation_cells,
)


def global_numpy_state() -> np.ndarray:
    """Copy NumPy's legacy global random state."""
    return np.random.get_state()[1].copy()  # noqa: NPY002


def test_predictions_are_non_negative_cells():
    """One float32 array (cells, genes) per perturbation, finite, at least 0, with spread between cells."""
    for values in predicted(fitted(GRNFlowSparsePCA), "A", "A+G2", "B+G2"):
        assert values.shape == (10, 20)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.std(axis=0).mean() > 0.1


def test_genes_unseen_or_unmeasured_are_predicted():
    """A measured gene never perturbed and a gene never heard of get the same, average perturbation."""
    method = fitted(GRNFlowSparsePCA)
    unseen, unheard = (method.vocabulary_.tokens([gene]) for gene in ("G9", "NEVER"))
    assert unseen == unheard
    assert method.unsupported(Perturbation(("NEVER",))) is None
    assert all(np.isfinite(values).all() for values in predicted(method, "NEVER+A", "G9"))


def test_perturbed_genes_that_are_not_measured_have_tokens_of_their_own():
    """A and B are no genes of the panel; they are told apart."""
    method = fitted(GRNFlowSparsePCA)
    tokens = [method.vocabulary_.tokens([gene]) for gene in ("A", "B", "NEVER")]
    assert len({tuple(pair) for pair in tokens}) == 3
    one, two = predicted(method, "A", "B")
    assert not np.array_equal(one, two)


def test_the_same_seed_gives_the_same_cells_and_another_seed_others():
    """Fitting twice is repeating oneself, whether the transformer comes from the cache or not."""
    first, cached, other = (predicted(fitted(GRNFlowSparsePCA, seed), "A+B")[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, cached)
    assert not np.array_equal(first, other)


def test_fit_and_predict_leave_the_surroundings_alone():
    """Global random states, the number of threads and the inputs are as before."""
    train, validation, control = training_cells(), validation_cells(), cells(["control"], 10)
    given = (train, validation, control)
    copies, threads = [part.copy() for part in given], torch.get_num_threads()
    torch_state, numpy_state = torch.get_rng_state(), global_numpy_state()
    predicted(new(GRNFlowSparsePCA).fit(train, validation), "A", control=control)
    assert torch.equal(torch_state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, global_numpy_state())
    assert threads == torch.get_num_threads()
    for data, copied in zip(given, copies, strict=True):
        assert (data.X != copied.X).nnz == 0
        pd.testing.assert_frame_equal(data.obs, copied.obs)


def test_a_cut_save_is_refused_in_one_sentence(tmp_path):
    """A truncated weights file and an empty folder are user errors."""
    fitted(GRNFlowSparsePCA).save(tmp_path)
    weights = tmp_path / "state.npz"
    weights.write_bytes(weights.read_bytes()[:200])
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BenchmarkError, match="holds no saved method"):
            GRNFlowSparsePCA.load(folder)


def test_predict_and_save_before_fit_are_refused(tmp_path):
    """At the call, not at the first cell."""
    with pytest.raises(NotFittedError):
        GRNFlowSparsePCA().predict(cells(["control"], 2), [Perturbation(("A",))])
    with pytest.raises(NotFittedError):
        GRNFlowSparsePCA().save(tmp_path)


def test_other_genes_are_refused():
    """Control cells with genes in another order are not what the method was fitted on."""
    control = cells(["control"], 3)[:, ::-1].copy()
    with pytest.raises(BenchmarkError, match="same genes in the same order"):
        predicted(fitted(GRNFlowSparsePCA), "A", control=control)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": 30, "heads": 4}, "multiple of heads"),
        ({"transformer_width": 10, "transformer_heads": 4}, "transformer_heads"),
        ({"attention_layer": 2, "transformer_layers": 2}, "attention_layer"),
        ({"attention_layer": -3, "transformer_layers": 2}, "attention_layer"),
        ({"top_k": 0}, "top_k"),
        ({"solver": "heun"}, "solver"),
        ({"precision": "float16"}, "precision"),
        ({"pairing": "nearest"}, "pairing"),
    ],
)
def test_settings_that_do_not_fit_are_refused(values, said):
    """Each one clear sentence."""
    with pytest.raises(BenchmarkError, match=said) as caught:
        GRNFlowSparsePCA.Config.build(settings=values)
    assert "\n" not in str(caught.value)


def test_layers_of_a_checkpoint_are_not_limited_by_the_own_transformer():
    config = GRNFlowSparsePCA.Config.build(settings={"attention_source": "scgpt", "attention_layer": 11})
    assert config.attention_layer == 11


def test_the_paper_preset_has_the_published_sizes():
    """Width 512, 8 heads, 4 layers, latent 64, K 30, 100,000 steps of 96 cells and 1,000 genes."""
    paper = GRNFlowSparsePCA.Config.build("paper")
    sizes = (paper.width, paper.heads, paper.layers, paper.latent, paper.top_k, paper.steps)
    assert (*sizes, paper.batch_size, paper.genes_per_step) == (512, 8, 4, 64, 30, 100_000, 96, 1000)


def test_odd_data_is_fitted():
    """Two cells per perturbation, no validation, a constant gene, fewer genes than latent dimensions."""
    train = cells(["control", "A", "B"], 2)[:, :3].copy()
    train.X = train.X.multiply(np.array([1, 0, 1], dtype=np.float32)).tocsr()
    method = new(GRNFlowSparsePCA).fit(train, train[:0].copy())
    values = predicted(method, "A+B", control=train[:2].copy())[0]
    assert np.isfinite(values).all()
    assert (values[:, 1] == 0).all()


def test_a_gene_that_is_constant_but_not_zero_is_predicted_as_it_is():
    train = training_cells()
    dense = train.X.toarray()
    dense[:, 4] = 1.5
    train.X = type(train.X)(dense)
    values = predicted(new(GRNFlowSparsePCA).fit(train, validation_cells()), "A+B")[0]
    np.testing.assert_allclose(values[:, 4], 1.5, atol=1e-6)


def test_one_cell_of_a_perturbation_is_enough():
    """A single cell has one pair, from which all its latents are."""
    lone = cells(["control"] * 2 + ["A", "G1"], 12)
    kept = (lone.obs["perturbation"] != "A") | (lone.obs_names == "cell24")
    train = lone[kept.to_numpy()].copy()
    assert (train.obs["perturbation"] == "A").sum() == 1
    values = predicted(new(GRNFlowSparsePCA).fit(train, validation_cells()), "A", "A+G1")
    assert all(np.isfinite(cells).all() for cells in values)


def test_one_control_and_one_perturbed_cell_are_fitted():
    train = cells(["control", "A"], 1)
    values = predicted(new(GRNFlowSparsePCA).fit(train, train[:0].copy()), "A", "B")
    assert all(np.isfinite(cells).all() for cells in values)


def test_more_entries_are_asked_for_than_there_are_genes():
    """K is then all genes, and latents are as many as gene vectors have."""
    method = fitted(GRNFlowSparsePCA, top_k=1000, latent=1000)
    assert method.shape_.latent == 16
    assert np.isfinite(predicted(method, "A")[0]).all()


def test_maps_of_the_source_are_told_without_training_a_flow():
    """The mean map of controls, and for each training perturbation perturbed minus control, signed."""
    method, train = new(GRNFlowSparsePCA, attention_source="random"), training_cells()
    with recorded() as seen:
        maps = method.regulatory_maps(train)
        changes = dict(maps.changes)
    assert "train flow" not in seen.totals
    assert maps.genes == list(train.var_names)
    assert maps.attention.shape == (20, 20)
    np.testing.assert_allclose(maps.attention.sum(1), 1, atol=1e-5)
    assert set(changes) == {"A", "B", "G1", "G2", "A+B", "A+G1"}
    for change in changes.values():
        assert change.shape == (20, 20)
        np.testing.assert_allclose(change.sum(1), 0, atol=1e-5)
        assert np.abs(change).max() > 1e-4


def test_changes_of_maps_are_perturbed_minus_control_by_hand():
    """With the co-expression source a map is linear in the cell, and its change in the change of means."""
    settings = {"attention_source": "coexpression", "pairs_per_perturbation": 12, "pairing": "random"}
    method, train = new(GRNFlowSparsePCA, **settings), training_cells()
    dense, labels = train.X.toarray().astype(np.float64), train.obs["perturbation"].to_numpy()
    pairs = paired_cells(train, train.X, method.config, method.seed)
    correlations = np.corrcoef(dense[labels == "control"].T) - np.eye(20)
    for label, change in method.regulatory_maps(train).changes:
        control, perturbed = pairs[label]
        assert set(labels[perturbed]) == {label}
        assert set(labels[control]) == {"control"}
        moved = (dense[perturbed].mean(0) - dense[control].mean(0)) / dense.std(0)
        np.testing.assert_allclose(change, correlations * moved, atol=1e-4)


def test_a_flow_learns_from_pairs_in_standard_units(monkeypatch):
    """Every perturbed cell stands with its control, its tokens and the latents of its perturbation."""
    seen, train = [], training_cells()
    monkeypatch.setattr(GRNFlowSparsePCA, "train_flow", lambda self, objective, *_: seen.append(objective))
    monkeypatch.setattr(GRNFlowSparsePCA, "complete_centre", lambda *_: None)
    method = new(GRNFlowSparsePCA)
    method.fit(train, validation_cells())
    pool, pairs = seen[0].pool, paired_cells(train, train.X, method.config, method.seed)
    dense = train.X.toarray()
    units = (dense - dense.mean(0)) / dense.std(0)
    control, perturbed = (np.concatenate(rows) for rows in zip(*pairs.values(), strict=True))
    np.testing.assert_allclose(pool.perturbed[:], units[perturbed], atol=1e-4)
    np.testing.assert_allclose(pool.control[pool.partner], units[control], atol=1e-4)
    assert len(pool.control) == len(set(control))
    assert pool.size.tolist() == [8] * 6
    assert pool.tokens.tolist() == [method.vocabulary_.tokens(label.split("+")) for label in pairs]
    assert pool.latent.shape == (6, 4, 20, 4)
    assert seen[0].control_token == 22
    assert seen[0].unknown_token == 23


def test_cells_begin_at_noise_of_both_streams_beside_their_control_cell(monkeypatch):
    """In chunks of three cells: standard normal noise, other for each cell, and the cell in its units."""
    method, calls = fitted(GRNFlowSparsePCA), []

    def sample(flow, x_ctrl, perturbation, x0, z0, context, options):
        calls.append((x_ctrl, x0, z0))
        return x0

    monkeypatch.setattr(flow_method, "sample_expression", sample)
    monkeypatch.setattr(flow_method, "TOKENS_PER_CHUNK", 60)
    control = cells(["control"], 100, seed=3)
    (values,) = predicted(method, "A", control=control)
    assert values.shape == (100, 20)
    assert [len(x_ctrl) for x_ctrl, _, _ in calls] == [3] * 33 + [1]
    told, x0, z0 = (torch.cat(parts) for parts in zip(*calls, strict=True))
    torch.testing.assert_close(told[..., 0], method.in_units(control.X))
    for noise, shape in ((x0, (100, 20)), (z0, (100, 20, 4))):
        assert noise.shape == shape
        assert noise.mean() == pytest.approx(0, abs=0.08)
        assert noise.std() == pytest.approx(1, abs=0.05)
        assert len(noise.flatten(1).unique(dim=0)) == 100


def test_cells_differ_and_have_the_mean_that_is_declared_whatever_they_begin_from():
    method = fitted(GRNFlowSparsePCA, expression_ode_steps=3)
    (mean,) = method.predict_mean([Perturbation.parse("A")])
    for control in (cells(["control"], 7, seed=4), cells(["control"], 50, seed=5)):
        found = predicted(method, "A", control=control)[0]
        np.testing.assert_allclose(found.mean(0), mean, atol=1e-5)
        assert found.std(0).mean() > 0.1
