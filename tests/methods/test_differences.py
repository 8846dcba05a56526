"""Partial pooling of contexts: what a context adds to changes that are pooled over all."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import concat

from benchmark.perturbation import Perturbation
from methods._differences import PENALTIES, Differences
from methods._pseudobulk import Changes, changes_by_context, mean_changes
from methods.additive import Additive
from methods.linear import Linear
from methods.main_effects import MainEffects
from methods.saturation import Saturation
from tests.methods.test_baselines import NOTHING, TRAIN, cells
from tests.methods.test_elsewhere import none_of

GENES = [f"G{number}" for number in range(6)]
PERTURBED = list("ABCDEFGH")


def changed(values, labels=PERTURBED):
    """Changes of perturbations, from controls of zero."""
    perturbations = tuple(Perturbation.parse(label) for label in labels)
    return Changes(perturbations, np.array(values), np.zeros(len(values[0])))


def two_contexts(apart: float, noise: float = 0.3, seed: int = 0):
    """Cells of K and R, where every perturbation moves all genes by `apart` more in R; R lacks H."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(len(PERTURBED), len(GENES)))
    parts = []
    for context, more in (("K", 0.0), ("R", apart)):
        means = 10 + own + more + noise * rng.normal(size=own.shape)
        rows = {
            label: [mean.tolist()] * 2
            for label, mean in zip(PERTURBED, means, strict=True)
            if (context, label) != ("R", "H")
        }
        part = cells({"control": [[10.0] * len(GENES)] * 2, **rows}, GENES)
        part.obs["context"] = context
        parts.append(part)
    return concat(parts, index_unique="-"), own


def test_coefficients_are_those_of_a_ridge_regression_and_the_penalty_the_best_without_each():
    """The closed form against fits that leave one condition out after the other."""
    rng = np.random.default_rng(1)
    labels = ["A", "B", "C", "A+B", "A+C", "B+C"]
    within = {"K": changed(1 + 0.1 * rng.normal(size=(6, 4)), labels)}
    found = Differences.fit(within, lambda perturbation: np.zeros(4))
    read = np.array([[1.0, *(gene in label for gene in "ABC")] for label in labels])
    values = within["K"].values

    def solved(rows, penalty):
        gram = read[rows].T @ read[rows] + penalty * np.eye(4)
        return np.linalg.solve(gram, read[rows].T @ values[rows])

    def error(penalty):
        rows = np.arange(6)
        return sum(np.sum((values[row] - read[row] @ solved(rows != row, penalty)) ** 2) for row in rows)

    best = min(PENALTIES, key=error)
    np.testing.assert_allclose(found.values[0], solved(np.arange(6), best))
    np.testing.assert_allclose(found.of(Perturbation.parse("K::A+Z")), found.values[0][:2].sum(axis=0))


@pytest.mark.parametrize("seed", range(3))
def test_where_contexts_do_not_differ_hardly_anything_is_added(seed):
    """Noise alone, however large it is, is not taken for a difference."""
    rng = np.random.default_rng(seed)
    within = {context: changed(rng.normal(size=(8, 6))) for context in "KR"}
    found = Differences.fit(within, lambda perturbation: np.zeros(6))
    assert np.linalg.norm(found.of(Perturbation.parse("K::A"))) < 0.2 * np.sqrt(6)


def test_contexts_in_which_nothing_is_missed_do_not_differ():
    within = {context: changed(np.ones((8, 6))) for context in "KR"}
    found = Differences.fit(within, lambda perturbation: np.ones(6))
    assert (found.contexts, found.of(Perturbation.parse("K::A"))) == ([], 0.0)


@pytest.mark.parametrize("method", [Additive, MainEffects, Saturation, Linear])
def test_what_a_context_adds_is_added_to_a_perturbation_that_it_has_not_shown(method):
    train, own = two_contexts(apart=2.0, noise=0.0)
    fitted = method().fit(train, none_of(train))
    asked = Perturbation.parse("R::H")
    pooled, real = 10 + fitted.shift(asked), 12 + own[PERTURBED.index("H")]
    (partly,) = fitted.predict_mean([asked])
    assert np.array_equal(fitted.shift(asked), fitted.shift(Perturbation.parse("K::H")))
    assert np.all(partly > pooled)
    assert np.sum((partly - real) ** 2) < np.sum((pooled - real) ** 2)


def test_a_context_without_perturbed_cells_has_the_pooled_change():
    train, _ = two_contexts(apart=2.0)
    new = cells({"control": [[7.0] * len(GENES)] * 2}, GENES)
    new.obs["context"] = "T"
    fitted = Additive().fit(concat([train, new], index_unique="-"), none_of(train))
    asked = Perturbation.parse("T::A")
    (mean,) = fitted.predict_mean([asked])
    np.testing.assert_array_equal(mean, 7.0 + fitted.shift(asked))


def test_differences_are_kept_and_belong_to_one_fit(tmp_path):
    train, _ = two_contexts(apart=2.0)
    fitted = Additive().fit(train, none_of(train))
    fitted.save(tmp_path / "kept")
    asked = [Perturbation.parse("R::H")]
    (due,), (again,) = fitted.predict_mean(asked), Additive.load(tmp_path / "kept").predict_mean(asked)
    np.testing.assert_array_equal(again, due)
    assert "differing_contexts_" not in vars(fitted.fit(TRAIN, NOTHING))


def test_pooled_changes_keep_those_of_each_context():
    train, _ = two_contexts(apart=1.0)
    found, pooled = changes_by_context(train), mean_changes(train)
    assert list(pooled.within) == ["K", "R"]
    np.testing.assert_array_equal(pooled.within["R"].values, found["R"].values)
    assert mean_changes(TRAIN).within == {}
