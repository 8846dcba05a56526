"""Flows fitted on cells of several contexts: all within a context, and one context as if there were none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from anndata import AnnData, concat
from scipy import sparse

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._effects import Folds
from methods._grnflow.pairs import paired_cells
from methods._grnflow.sources import Given
from methods._pseudobulk import Changes, changes_of_conditions
from methods._trained_flow.contexts import CellContexts
from methods._trained_flow.rows import control_rows, mean_within_contexts, perturbed_rows, rows_by_context
from methods.grnflow_prior import GRNFlowPrior
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from methods.scdfm import ScDFM
from tests.methods.grnflow.grnflow_case import GENES, LABELS, cells, new, training_cells, validation_cells

METHODS = [GRNFlowSparsePCA, ScDFM]


def within(part: AnnData, context: str, higher: float = 0.0) -> AnnData:
    """Cells of a context, in which everything is so much higher."""
    part = part.copy()
    part.X = sparse.csr_matrix(part.X.toarray() + np.float32(higher))
    part.obs["context"] = context
    return part


def lines() -> tuple[AnnData, AnnData]:
    """Cells of K, of K1, in which everything is higher by 1, and control cells of T alone, in between."""
    parts = [within(training_cells(), "K"), within(cells(["control", *LABELS[:4]], 12, seed=5), "K1", 1.0)]
    parts.append(within(cells(["control"], 12, seed=6), "T", 0.6))
    train, validation = concat(parts, index_unique="-"), within(validation_cells(), "K")
    for part in (train, validation):
        part.obs["context"] = part.obs["context"].astype(object)
    return train, validation


@pytest.fixture(scope="module")
def fits():
    """Each method, fitted on all that."""
    return {method: new(method).fit(*lines()) for method in METHODS}


@pytest.mark.parametrize("method", [*METHODS, GRNFlowPrior])
def test_one_context_gives_the_numbers_of_none_to_the_last_digit(method):
    """Also where it has a name."""
    start, plain = cells(["control"], 10, seed=3), new(method).fit(training_cells(), validation_cells())
    due = list(plain.predict(start, [Perturbation.parse(label) for label in LABELS]))
    for name in ("", "K"):
        fitted = new(method).fit(within(training_cells(), name), within(validation_cells(), name))
        asked = [Perturbation(Perturbation.parse(label).genes, name) for label in LABELS]
        for found, expected in zip(fitted.predict(start, asked), due, strict=True):
            np.testing.assert_array_equal(found, expected)
        assert fitted.flow_.shape.cell_contexts == 0


def test_conditions_stand_in_one_order_everywhere():
    """That of their labels, in which K1 comes before K."""
    train, _ = lines()
    labels = list(perturbed_rows(train))
    assert [each.label for each in changes_of_conditions(train).perturbations] == labels
    assert labels.index("K1::A") < labels.index("K::A")


def test_a_change_is_that_from_the_control_cells_of_its_context():
    train, _ = lines()
    found = changes_of_conditions(train)
    rows = (train.obs["context"] == "K1").to_numpy()
    label = train.obs["perturbation"].to_numpy()
    mean = {name: train.X[rows & (label == name)].toarray().mean(axis=0) for name in ("A", "control")}
    row = [each.label for each in found.perturbations].index("K1::A")
    np.testing.assert_allclose(found.values[row], mean["A"] - mean["control"], atol=1e-5)


def test_cells_are_paired_within_their_context(fits):
    train, _ = lines()
    contexts = train.obs["context"].to_numpy()
    pairs = paired_cells(train, sparse.csr_matrix(train.X), fits[GRNFlowSparsePCA].config, 0)
    assert list(pairs) == list(perturbed_rows(train))
    for label, (control, perturbed) in pairs.items():
        assert set(contexts[control]) == set(contexts[perturbed]) == {Perturbation.parse(label).context}
        assert np.isin(control, control_rows(train)).all()


def test_maps_are_of_perturbations_over_all_contexts():
    """Of A the pairs in K and in K1, which are as many, so that the change of its map is the mean of both."""
    train, _ = lines()
    method = new(GRNFlowSparsePCA, attention_source="coexpression")
    changes = dict(method.regulatory_maps(train).changes)
    assert list(changes) == sorted({str(Perturbation.parse(label)) for label in perturbed_rows(train)})
    reader = method._reader(method._given(train))
    pairs = paired_cells(train, reader.cells, method.config, 0)
    both = [reader.mean_change(*pairs[label]).numpy() for label in ("K::A", "K1::A")]
    np.testing.assert_allclose(changes["A"], np.mean(both, axis=0), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_of_a_saved_method_is_the_same(method, fits, tmp_path):
    fits[method].save(tmp_path / "kept")
    asked = [Perturbation.parse(label) for label in ("K::A+B", "K1::A", "T::B")]
    start = cells(["control"], 10, seed=3)
    again = method.load(tmp_path / "kept").predict(start, asked)
    for found, due in zip(again, fits[method].predict(start, asked), strict=True):
        np.testing.assert_array_equal(found, due)


def test_an_answer_lies_around_the_control_cells_of_its_context(fits):
    """The same change in each, but for what contexts differ in; T, without changes, has the pooled one."""
    fitted, (train, _) = fits[GRNFlowSparsePCA], lines()
    centre, units = fitted.centre_, fitted._units
    label, contexts = train.obs["perturbation"].to_numpy(), train.obs["context"].to_numpy()
    for context in ("K", "K1", "T"):
        asked = Perturbation(("A",), context)
        control = train.X[(label == "control") & (contexts == context)].toarray().mean(axis=0)
        expected = control + centre.pooled(asked) + centre.differences.of(asked)
        place = centre.told(asked, units)[:, 0] / units.inverse + units.mean
        np.testing.assert_allclose(place, expected, atol=1e-4)
        (mean,) = fitted.predict_mean([asked])
        np.testing.assert_allclose(mean, np.maximum(expected, 0), atol=1e-3)
    assert "T" not in centre.differences.contexts


@pytest.mark.parametrize("method", METHODS)
def test_a_context_of_which_nothing_was_given_is_refused(method, fits):
    with pytest.raises(BenchmarkError, match="context 'X' were given in training, only of K, K1, T"):
        list(fits[method].predict(cells(["control"], 4), [Perturbation.parse("X::A")]))


def test_a_context_without_control_cells_is_refused():
    train, validation = lines()
    kept = (train.obs["context"] != "K1") | (train.obs["perturbation"] != "control")
    with pytest.raises(BenchmarkError, match="'K1' has perturbed cells and no control cells"):
        new(ScDFM).fit(train[kept.to_numpy()].copy(), validation)


def test_an_unseen_context_is_a_mixture_by_how_alike_control_cells_are(fits):
    """The controls of T are nearer to those of K1."""
    train, _ = lines()
    shares = CellContexts.of(train).shares(train)
    np.testing.assert_array_equal(shares[:2], np.eye(3, dtype=np.float32)[:2])
    assert shares[2, 1] > shares[2, 0] > shares[2, 2] == 0
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    for fitted in fits.values():
        np.testing.assert_array_equal(fitted.flow_.cell_contexts.shares.numpy(), shares)
        assert fitted.tokens(Perturbation.parse("T::A"))[2:] == [2]


def test_genes_that_differ_between_contexts_alone_are_not_correlated():
    """Two that are noise within each context, and higher in one: pooled, they look alike."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(400, 2)) + 5
    noise[200:] += 4
    train = AnnData(sparse.csr_matrix(noise.astype(np.float32)))
    train.obs["context"] = np.repeat(["K", "R"], 200)

    def correlation(part):
        return np.corrcoef(part.toarray().T)

    assert correlation(train.X)[0, 1] > 0.7
    assert abs(mean_within_contexts(train, train.X, correlation)[0, 1]) < 0.2


def test_sources_are_given_each_context_by_itself(fits):
    train, _ = lines()
    matrix, method = sparse.csr_matrix(train.X), fits[GRNFlowSparsePCA]
    given = method._given(train)
    parts = given.within_contexts()
    assert list(parts) == ["K", "K1", "T"]
    for context, part in parts.items():
        rows = rows_by_context(train)[context]
        control = matrix[rows[np.isin(rows, control_rows(train))]]
        np.testing.assert_array_equal(part.control.toarray(), control.toarray())
        for label, own in part.perturbed.items():
            due = matrix[perturbed_rows(train)[label]]
            np.testing.assert_array_equal(part.cells[own].toarray(), due.toarray())
    alone = Given(method.config, matrix, matrix[:3], GENES, 0, torch.device("cpu"))
    assert list(alone.within_contexts().values()) == [alone]


@pytest.mark.parametrize("source", ["regression", "coexpression", "noise", "wrong"])
def test_every_source_takes_several_contexts(source):
    fitted = new(GRNFlowSparsePCA, attention_source=source).fit(*lines())
    (found,) = fitted.predict(cells(["control"], 4), [Perturbation.parse("T::A+B")])
    assert np.isfinite(found).all()


def test_the_oracle_refuses_several_contexts():
    with pytest.raises(BenchmarkError, match="'oracle' knows the truth of data with one context"):
        new(GRNFlowSparsePCA, attention_source="oracle").fit(*lines())


def test_a_double_is_in_one_fold_wherever_it_was_measured():
    rng = np.random.default_rng(0)
    names = [f"P{number}+Q{number % 5}" for number in range(14)]
    labels = [*names, *(f"K::{name}" for name in names[:9]), "P1", "Q2"]
    changes = Changes(tuple(map(Perturbation.parse, labels)), rng.normal(size=(25, 6)), np.zeros(6))
    folds = Folds(changes, "plain")
    seen = [set(folds.doubles(fold)[0]) for fold in range(6)]
    assert sum(map(len, seen)) == len(set().union(*seen)) == 14
    asked, _ = folds.doubles(0)
    errors = np.arange(len(asked), dtype=float)
    by_hand = [np.mean(errors[[other == each for other in asked]]) for each in dict.fromkeys(asked)]
    np.testing.assert_allclose(folds.by_double(0, errors), by_hand)
