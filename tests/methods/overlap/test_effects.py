"""Ridge effects against brute force: scikit-learn, once for each double that is left out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from benchmark.perturbation import Perturbation
from methods._effects import FOLDS, STRONGER, Effects, Folds, fit_effects
from methods._pseudobulk import perturbed_gene_indicators
from tests.methods.overlap.overlap_case import PERTURBED, changes, part, saturate

NOISY = changes(saturate, noise=0.3, genes=PERTURBED[:5])
INDICATORS = perturbed_gene_indicators(NOISY.perturbations, NOISY.genes)
DOUBLES = [row for row, p in enumerate(NOISY.perturbations) if p.is_double]


def left_out_errors(targets: np.ndarray) -> np.ndarray:
    """Squared error on each double, predicted from all other perturbations: (penalties, columns)."""
    errors = np.zeros((len(STRONGER), targets.shape[1]))
    for index, penalty in enumerate(STRONGER):
        for row in DOUBLES:
            kept = np.arange(len(targets)) != row
            ridge = Ridge(alpha=penalty).fit(INDICATORS[kept], targets[kept])
            errors[index] += (ridge.predict(INDICATORS[[row]])[0] - targets[row]) ** 2
    return errors


def test_the_plain_base_is_the_ridge_whose_penalty_predicts_left_out_doubles_best():
    penalty = STRONGER[left_out_errors(NOISY.values).sum(axis=1).argmin()]
    ridge = Ridge(alpha=penalty).fit(INDICATORS, NOISY.values)
    found = fit_effects(NOISY, "plain")
    assert penalty not in (STRONGER[0], STRONGER[-1])
    np.testing.assert_allclose(found.values, ridge.coef_.T, atol=1e-8)
    np.testing.assert_allclose(found.intercept, ridge.intercept_, atol=1e-8)


def test_each_principal_component_has_its_own_best_penalty():
    mean = NOISY.values.mean(axis=0)
    _, _, axes = np.linalg.svd(NOISY.values - mean, full_matrices=False)
    axes = axes[: len(NOISY.perturbations) - 1]
    scores = (NOISY.values - mean) @ axes.T
    best = np.array(STRONGER)[left_out_errors(scores).argmin(axis=0)]
    ridges = [Ridge(alpha=each).fit(INDICATORS, scores[:, i]) for i, each in enumerate(best)]
    found = fit_effects(NOISY, "components")
    assert len(set(best)) > 1
    np.testing.assert_allclose(found.values, np.stack([r.coef_ for r in ridges], axis=1) @ axes, atol=1e-8)
    expected = mean + np.array([r.intercept_ for r in ridges]) @ axes
    np.testing.assert_allclose(found.intercept, expected, atol=1e-8)


def test_a_change_is_the_intercept_plus_the_effects_of_known_genes():
    effects = Effects(["A", "B"], np.array([1.0, 0.0]), np.array([[2.0, 3.0], [-1.0, 1.0]]))
    np.testing.assert_allclose(effects.change(Perturbation(("A", "B"))), [2, 4])
    np.testing.assert_allclose(effects.change(Perturbation(("B", "Z"))), [0, 1])
    np.testing.assert_allclose(effects.change(Perturbation(("Z",))), [1, 0])


@pytest.mark.parametrize("base", ["plain", "components"])
def test_a_base_without_folds_is_the_base_of_all_other_perturbations(base):
    whole = changes(saturate, noise=0.1)
    folds = Folds(whole, base)
    left_out = {p for fold in (1, 4) for p in folds.doubles(fold)[0]}
    kept = [row for row, p in enumerate(whole.perturbations) if p not in left_out]
    expected = fit_effects(part(whole, kept), base)
    np.testing.assert_array_equal(folds.effects(4, 1).values, expected.values)
    np.testing.assert_array_equal(folds.effects(1, 4).intercept, expected.intercept)


def test_every_double_is_in_one_fold_and_folds_are_always_the_same():
    whole = changes(saturate)
    first, second = Folds(whole, "plain"), Folds(whole, "components")
    members = [first.doubles(fold)[0] for fold in range(FOLDS)]
    assert members == [second.doubles(fold)[0] for fold in range(FOLDS)]
    assert sorted(p for fold in members for p in fold) == [p for p in whole.perturbations if p.is_double]
    assert {len(fold) for fold in members} == {6}


def test_the_error_of_a_base_is_that_on_folds_it_has_not_seen():
    whole = changes(saturate, noise=0.1)
    folds = Folds(whole, "plain")
    wrong = []
    for fold in range(FOLDS):
        for double, real in zip(*folds.doubles(fold), strict=True):
            wrong.append(folds.effects(fold).change(double) - real)
    assert folds.error() == pytest.approx(np.mean(np.square(wrong)))
