"""GRNFlow's variants: what a latent is in each, and the one that predicts in any order."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.registry import list_methods, load_method
from methods._flow.cascade import cascaded_times, independent_times
from methods._grn.features import embedding_basis
from methods._grnflow.validation import Point
from methods.grnflow_any_order import GRNFlowAnyOrder
from methods.grnflow_dense import GRNFlowDense
from methods.grnflow_scalar import GRNFlowScalar
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from methods.grnflow_sparse_topk import GRNFlowSparseTopK
from tests.methods.flow.flow_case import same_weights
from tests.methods.grn.attention_case import source
from tests.methods.grnflow.grnflow_case import (
    cells,
    fitted,
    new,
    predicted,
    recorded,
    training_cells,
    validation_cells,
)

VARIANTS = {
    method.name: method
    for method in (GRNFlowDense, GRNFlowSparseTopK, GRNFlowSparsePCA, GRNFlowScalar, GRNFlowAnyOrder)
}
REGISTERED = [listing.name for listing in list_methods() if listing.name.startswith("grnflow_")]
ORDERS = ["latent_first", "expression_first", "joint"]


@pytest.fixture
def fit(tmp_path_factory, monkeypatch):
    """A variant fitted once for all tests here, with its cache out of the way."""
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path_factory.getbasetemp() / "variants"))
    return fit_once


@cache
def fit_once(name: str):
    return fitted(load_method(name))


def test_every_variant_has_its_own_name():
    assert set(VARIANTS) <= set(REGISTERED)
    assert all(load_method(name) is method for name, method in VARIANTS.items())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("grnflow_dense", 16),
        ("grnflow_sparse_topk", 16),
        ("grnflow_sparse_pca", 4),
        ("grnflow_any_order", 4),
        ("grnflow_scalar", 1),
    ],
)
def test_latents_have_the_size_that_the_name_says(fit, name, size):
    """The width of gene vectors, the number of principal axes, or one."""
    method = fit(name)
    assert method.shape_.latent == size
    assert method.flow_.latent_value.in_features == size


def test_principal_axes_are_as_many_as_asked_for_or_as_there_are():
    """At most the width of the gene vectors, and at most the number of genes."""
    for latent, width, genes, expected in ((4, 16, 20, 4), (64, 16, 20, 16), (64, 64, 20, 20)):
        config = new(GRNFlowSparsePCA, latent=latent).config
        assert GRNFlowSparsePCA.latent_size(config, width, genes) == expected


def test_projections_are_those_of_the_variants():
    """Of 200 genes K is 6: dense keeps all, the sparse ones 6, the scalar one all magnitudes."""
    read = source(200)
    vectors = read.gene_vectors()
    dense, topk, pca, scalar = (
        new(VARIANTS[f"grnflow_{name}"]).projection(read)
        for name in ("dense", "sparse_topk", "sparse_pca", "scalar")
    )
    assert (dense.top_k, topk.top_k, pca.top_k, scalar.top_k) == (None, 6, 6, None)
    assert [p.magnitude for p in (dense, topk, pca, scalar)] == [False, False, False, True]
    assert torch.equal(dense.basis, vectors)
    assert torch.equal(topk.basis, vectors)
    assert torch.equal(pca.basis, embedding_basis(vectors, 4))
    assert torch.equal(scalar.basis, torch.ones(200, 1))


def test_the_scalar_latent_is_the_sum_of_magnitudes():
    change = torch.randn(2, 3, 200, generator=torch.Generator().manual_seed(0))
    project = new(GRNFlowScalar).projection(source(200))
    torch.testing.assert_close(project(change), change.abs().sum(-1, keepdim=True))


@pytest.mark.parametrize("name", REGISTERED)
def test_parameter_count_is_that_of_the_fitted_flow(fit, name):
    """Counted from the configuration, found in the module; A and B lie outside the panel."""
    method = fit(name)
    count = method.parameter_count(method.config, n_genes=20, n_perturbed=4)
    built = sum(part.numel() for part in method.flow_.parameters())
    assert built == count + 2 * method.config.width


@pytest.mark.parametrize("name", REGISTERED)
def test_a_loaded_method_predicts_the_same(fit, name, tmp_path):
    """Save, load, predict: bit for bit."""
    method = fit(name)
    method.save(tmp_path / "saved")
    loaded = type(method).load(tmp_path / "saved")
    assert loaded.config == method.config
    assert same_weights(loaded.flow_, method.flow_)
    for one, other in zip(predicted(method, "A", "NEVER+B"), predicted(loaded, "A", "NEVER+B"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", REGISTERED)
def test_an_answer_does_not_depend_on_what_else_is_asked(fit, name):
    """Alone, in company, in another order and a second time, a perturbation is predicted alike."""
    method = fit(name)
    alone = predicted(method, "A+B")[0]
    np.testing.assert_array_equal(alone, predicted(method, "A", "A+B", "G2")[1])
    np.testing.assert_array_equal(alone, predicted(method, "A+B", "G1")[0])


@pytest.mark.parametrize("name", REGISTERED)
def test_a_control_cell_can_be_sampled_several_times(fit, name):
    """The same control cell in two rows gives two different cells."""
    control = cells(["control"], 2)
    control.X = control.X[[0, 0]]
    first, second = predicted(fit(name), "A", control=control)[0]
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", REGISTERED)
def test_genes_that_were_never_measured_or_perturbed_are_predicted(fit, name):
    for values in predicted(fit(name), "G9", "NEVER", "NEVER+A"):
        assert values.shape == (10, 20)
        assert np.isfinite(values).all()
        assert values.min() >= 0


@pytest.mark.parametrize("name", REGISTERED)
def test_awkward_data_is_fitted(name):
    """A single cell of one perturbation, a constant gene, no validation cells."""
    whole = cells(["control", "A", "G1", "A+G1"], 6)
    lone = np.r_[0:7, 12:24]
    train = whole[lone].copy()
    dense = train.X.toarray()
    dense[:, 5] = 0
    train.X = type(train.X)(dense)
    method = new(load_method(name)).fit(train, validation_cells()[:0].copy())
    values = predicted(method, "A+G1")[0]
    assert np.isfinite(values).all()
    assert (values[:, 5] == 0).all()


@pytest.mark.parametrize("name", REGISTERED)
def test_presets_are_those_of_all_flows(name):
    """`smoke` and `paper`, the latter with the published sizes."""
    config = load_method(name).Config
    assert {"smoke", "paper"} <= set(config.presets)
    paper = config.build("paper")
    assert (paper.width, paper.heads, paper.layers, paper.steps) == (512, 8, 4, 100_000)


def test_variants_are_trained_at_cascaded_times_and_any_order_at_independent_ones():
    for method in VARIANTS.values():
        expected = independent_times if method is GRNFlowAnyOrder else cascaded_times
        assert method.times is expected


def test_variants_predict_the_latent_first(fit):
    for name in set(VARIANTS) - {"grnflow_any_order"}:
        assert fit(name).sampling().order == "latent_first"


def test_an_unknown_order_is_refused_in_one_sentence():
    with pytest.raises(BenchmarkError, match="'true_latent' or 'wrong_latent', but 'backwards'"):
        GRNFlowAnyOrder.Config.build(settings={"order": "backwards"})


def test_one_set_of_weights_gives_three_answers(fit):
    """Each order has its own, and the same again when it is asked for again."""
    method = fit("grnflow_any_order")
    usual, answers = method.config, {}
    for order in [*ORDERS, "latent_first"]:
        method.config = usual.model_copy(update={"order": order})
        values = predicted(method, "A+B")[0]
        assert np.isfinite(values).all()
        if order in answers:
            np.testing.assert_array_equal(values, answers[order])
        answers[order] = values
    method.config = usual
    assert len({values.tobytes() for values in answers.values()}) == 3


def test_training_does_not_read_the_order():
    """Three fits that differ in it alone: equal weights, and equal scores on validation on the way."""
    fits, scores = [], []
    for order in ORDERS:
        with recorded() as seen:
            fits.append(fitted(GRNFlowAnyOrder, order=order, checks=5))
        scores.append(seen.all("train flow", "validation"))
    assert len(scores[0]) == 5
    assert scores[0] == scores[1] == scores[2]
    assert same_weights(fits[0].flow_, fits[1].flow_)
    assert same_weights(fits[0].flow_, fits[2].flow_)


def test_any_order_trains_both_streams_in_every_step():
    """Both R^2 are reported each time, as no coin is thrown."""
    with recorded() as seen:
        fitted(GRNFlowAnyOrder, batch_size=2, steps=12)
    assert len(seen.all("train flow", "expr_r2")) == len(seen.all("train flow", "latent_r2")) == 12


def test_variants_answer_differently(fit):
    answers = {predicted(fit(name), "A+B")[0].tobytes() for name in VARIANTS}
    assert len(answers) == len(VARIANTS)


def test_weights_for_any_order_are_selected_without_favour(tmp_path, monkeypatch):
    """The score is the mean of the errors of both orders, not that of the one the hypothesis prefers."""
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path))
    asked = []

    def error(self, flow, order, context, precision):
        asked.append(order)
        return {"latent_first": 1.0, "expression_first": 9.0}[order]

    train, validation = training_cells(), validation_cells()
    method = fitted(GRNFlowAnyOrder)
    monkeypatch.setattr(Point, "error", error)
    assert method._validation(train, validation)(method.flow_) == (1 + 9) / 2
    assert asked == ["latent_first", "expression_first"]
