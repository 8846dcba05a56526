"""Predictions that are told a latent of the oracle: the true one, or that of another perturbation."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from anndata import AnnData

from benchmark.data.cards import load_card
from benchmark.data.simulator import embedded
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._grn.features import Standardiser
from methods._grnflow.oracle import tells_edges, tells_regulation, true_edges, true_regulation
from methods._grnflow.told_latent import TrueLatents
from methods.grnflow_any_order import TOLD, GRNFlowAnyOrder
from tests.methods.flow.flow_case import same_weights
from tests.methods.grnflow.grnflow_case import fitted, new, training_cells

UNITS = Standardiser(torch.zeros(20, 1), torch.ones(20, 1))


@pytest.fixture
def truth(simulated):
    return embedded.load_truth(load_card("simulated"))


def named(truth, train: AnnData) -> AnnData:
    """Cells as if they were of the simulated data set: its genes, and some of its perturbations."""
    labels = ["A", "B", "G1", "G2", "A+B", "A+G1"]
    singles = [label for label in truth.perturbations if "+" not in label and label != "control"]
    doubles = [label for label in truth.perturbations if "+" in label]
    new_names = {**dict(zip(labels, [*singles[:4], *doubles[:2]], strict=True)), "control": "control"}
    train = train.copy()
    train.obs["perturbation"] = train.obs["perturbation"].map(new_names).astype(str)
    train.var_names = truth.network.genes[:20]
    return train


@cache
def fitted_once(of: str = "regulation") -> GRNFlowAnyOrder:
    """Fitted once for all tests here."""
    truth = embedded.load_truth(load_card("simulated"))
    train = named(truth, training_cells())
    method = new(GRNFlowAnyOrder, attention_source="oracle", oracle_of=of)
    return method.fit(train, train[train.obs["perturbation"] == truth.perturbations[-1]].copy())


def answer(method: GRNFlowAnyOrder, order: str, label: str) -> np.ndarray:
    """What is predicted of one perturbation in an order."""
    method.config = method.config.model_copy(update={"order": order})
    truth = embedded.load_truth(load_card("simulated"))
    train = named(truth, training_cells())
    return next(iter(method.predict(train[:10].copy(), [Perturbation.parse(label)])))


def test_the_true_latent_is_what_a_training_perturbation_was_trained_with(truth):
    """In the same units: raw latents of the oracle, standardised over training perturbations."""
    method = fitted_once()
    asked = [Perturbation.parse(label) for label in method.truth_.trained]
    raw = true_regulation(method.vocabulary_.panel, method.truth_.trained)
    deviation = raw.std(axis=0)
    expected = (raw - raw.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    found = np.stack([method.truth_.true(p).numpy() for p in asked])
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("order", sorted(TOLD))
def test_a_prediction_is_told_one_latent_in_place_of_another_and_nothing_else(truth, order):
    method = fitted_once()
    label = Perturbation.parse(truth.perturbations[-1])
    start = torch.zeros(2, 20)
    method.config = method.config.model_copy(update={"order": "latent_first"})
    usual = method.control_side(start, label)
    method.config = method.config.model_copy(update={"order": order})
    told = method.control_side(start, label)
    torch.testing.assert_close(told[..., :-1], usual[..., :-1])
    asked = label if order == "true_latent" else method.truth_.other(label)
    torch.testing.assert_close(told[0, :, -1:], method.truth_.true(asked))
    assert method.sampling().order == "latent_first"
    assert not torch.equal(told, usual)


@pytest.mark.parametrize("of", ["regulation", "edges"])
def test_orders_that_are_told_survive_saving(truth, tmp_path, of):
    method = fitted_once(of)
    method.save(tmp_path / "saved")
    loaded = GRNFlowAnyOrder.load(tmp_path / "saved")
    answers = {}
    for order in ("latent_first", *sorted(TOLD)):
        answers[order] = answer(method, order, truth.perturbations[-1])
        np.testing.assert_array_equal(answer(loaded, order, truth.perturbations[-1]), answers[order])
    assert len({values.tobytes() for values in answers.values()}) == 3


def test_training_reads_neither(truth):
    """A fit that is asked for the true latent has the weights of one that is not."""
    train = named(truth, training_cells())
    validation = train[train.obs["perturbation"] == truth.perturbations[1]].copy()
    assert validation.n_obs
    usual, told = (
        new(GRNFlowAnyOrder, attention_source="oracle", order=order, steps=4, checks=2).fit(train, validation)
        for order in ("latent_first", "true_latent")
    )
    assert same_weights(usual.flow_, told.flow_)


def test_edges_of_further_perturbations_lie_on_the_axes_of_training(truth):
    genes, labels = truth.network.genes.tolist(), truth.perturbations[[1, 5, 100]].tolist()
    np.testing.assert_allclose(tells_edges(genes, labels)(labels[::-1]), true_edges(genes, labels)[::-1])
    np.testing.assert_allclose(
        tells_regulation(genes, labels)(labels[1:]), true_regulation(genes, labels)[1:]
    )


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        (["A", "C", "A+B", "C+D", "B+C"], {"C+D"}),  # another double that shares no gene
        (["A", "C", "D", "A+B", "B+C"], {"C", "D"}),  # else one that shares none
        (["A", "A+B", "B+C"], {"A", "B+C"}),  # else any other
    ],
)
def test_a_wrong_perturbation_is_as_unlike_as_there_is_one(trained, expected):
    found = {
        str(TrueLatents("regulation", [], trained, UNITS, seed).other(Perturbation.parse("A+B")))
        for seed in range(20)
    }
    assert found == expected


def test_without_another_perturbation_the_wrong_one_is_refused_in_one_sentence():
    latents = TrueLatents("regulation", [], ["A"], UNITS, 0)
    with pytest.raises(BenchmarkError, match="and 'A' is the only one; train on more"):
        latents.wrong(Perturbation.parse("A"))


@pytest.mark.parametrize("order", sorted(TOLD))
@pytest.mark.parametrize("source", ["pretrained", "noise"])
def test_other_sources_cannot_be_told_the_truth(order, source):
    with pytest.raises(BenchmarkError) as caught:
        GRNFlowAnyOrder.Config.build(settings={"order": order, "attention_source": source})
    assert str(caught.value) == (
        f"Hyper-parameter 'order' needs attention_source=oracle, not {source}, where a latent of the truth "
        f"is told, but '{order}' was given; choose another value."
    )


def test_other_sources_keep_no_truth():
    method = fitted(GRNFlowAnyOrder, attention_source="noise")
    assert not [key for key in method.fitted_state() if key.startswith("truth.")]
