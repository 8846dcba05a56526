"""Shapes by hand, coefficients by least squares, and what is chosen where effects add up and where not."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.perturbation import Perturbation
from methods._effects import FOLDS, Effects, Folds
from methods._overlap import N_SHAPES, chosen, examples, held_out_errors, nothing, shapes
from methods.main_effects import MainEffects
from methods.saturation import Saturation, SaturationConfig, coefficients
from tests.methods.overlap.overlap_case import add, cells, changes, divided, part, saturate

PAIR = Effects(["A", "B"], np.zeros(4), np.array([[3.0, -1.0, 4.0, 0.0], [1.0, -2.0, -1.0, 2.0]]))
A_AND_B = Perturbation(("A", "B"))


def test_shapes_of_two_effects_by_hand():
    found = shapes(PAIR, A_AND_B)
    cosine = (3 + 2 - 4) / np.sqrt(26 * 10)
    np.testing.assert_allclose(found[:, 0], [4, -3, 3, 2])  # sum
    np.testing.assert_allclose(found[:, 1], [1, -1, 0, 0])  # smaller one, same sign
    np.testing.assert_allclose(found[:, 2], [0, 0, -1, 0])  # smaller one, other sign
    np.testing.assert_allclose(found[:, 3], [3, -2, 4, 2])  # larger one
    np.testing.assert_allclose(found[:, 4:9].T[:2], [[16, -9, 9, 4], [4, -3, 3, 0]])
    np.testing.assert_allclose(found[:, 6:9].T, [[1, -1, 0, 0], [3, -2, 0, 0], [0, 0, -4, 0]])
    np.testing.assert_allclose(found[:, 9:11].T, [[3**0.5, -(2**0.5), 0, 0], [0, 0, 2, 0]])
    np.testing.assert_allclose(found[:, 11], cosine * np.array([4, -3, 3, 2]))
    np.testing.assert_allclose(found[:, 12:14].T, cosine * np.array([[1, -1, 0, 0], [0, 0, -1, 0]]))
    np.testing.assert_allclose(found[:, 14], np.sqrt(10 / 26) * np.array([4, -3, 3, 2]))
    assert found.shape == (4, N_SHAPES)


def test_the_order_of_the_two_genes_does_not_matter():
    swapped = Effects(PAIR.names, PAIR.intercept, PAIR.values[::-1])
    np.testing.assert_allclose(shapes(swapped, A_AND_B), shapes(PAIR, A_AND_B))


@pytest.mark.parametrize("effects", [PAIR, Effects(["A", "Z"], np.zeros(4), np.zeros((2, 4)))])
def test_a_gene_that_is_not_known_or_does_nothing_overlaps_with_none(effects):
    np.testing.assert_array_equal(shapes(effects, Perturbation(("A", "Z"))), np.zeros((4, N_SHAPES)))


@pytest.mark.parametrize("n", [0, 3, 15])
def test_coefficients_are_the_least_squares_over_all_doubles_and_genes(n):
    folds = Folds(changes(saturate, noise=0.1), "plain")
    given = [examples(folds, fold) for fold in range(FOLDS)]
    rows = np.concatenate([part.shapes.reshape(-1, N_SHAPES) for part in given])[:, :n]
    targets = np.concatenate([part.missed.ravel() for part in given])
    expected = np.linalg.lstsq(rows, targets, rcond=None)[0] if n else []
    np.testing.assert_allclose(coefficients(given, n), expected, atol=1e-6)


def test_what_is_learned_from_has_not_seen_what_is_asked():
    """Another value of one double changes no prediction of its own fold."""
    whole = changes(saturate, noise=0.1)
    fold = 2
    row = whole.perturbations.index(Folds(whole, "plain").doubles(fold)[0][0])
    moved = part(whole, list(range(len(whole.perturbations))))
    moved.values[row] += 1
    for first, second in zip(
        [examples(Folds(whole, "plain"), other, fold) for other in range(FOLDS) if other != fold],
        [examples(Folds(moved, "plain"), other, fold) for other in range(FOLDS) if other != fold],
        strict=True,
    ):
        np.testing.assert_array_equal(first.shapes, second.shapes)
        np.testing.assert_array_equal(first.missed, second.missed)


def test_learning_nothing_has_the_error_of_the_base():
    folds = Folds(changes(saturate, noise=0.1), "components")
    errors = held_out_errors(folds, {"none": nothing})["none"]
    assert errors.shape == (36,)
    assert errors.mean() == pytest.approx(folds.error())


@pytest.mark.parametrize(
    ("better", "choice"), [([3, 3, 3, 4], "new"), ([5, -3, 4, 2], "old"), ([-1, -1, -1, -1], "old")]
)
def test_a_lead_that_is_not_clear_is_none(better, choice):
    """Mean 2 and standard error 1.78 of the second are 1.1 standard errors."""
    old = np.full(4, 10.0)
    assert chosen({"old": old, "new": old - np.array(better)}, "old") == choice


def test_of_clear_leads_the_largest_is_taken():
    old = np.arange(6.0)
    assert chosen({"old": old, "good": old - 1, "better": old - 2}, "old") == "better"


def test_three_coefficients_are_those_that_the_doubles_were_made_with():
    """Noise-free singles outvote the doubles, so that the base is nearly the truth."""
    train, validation, _ = divided(changes(saturate))
    method = Saturation(SaturationConfig(base="plain", terms="three")).fit(train, validation)
    total, same, opposite = method.coefficients_
    assert same < -0.5
    assert abs(opposite) < 0.3
    assert abs(total) < 0.3


def test_with_few_doubles_it_is_main_effects():
    whole = changes(saturate, noise=0.1)
    doubles = [row for row, p in enumerate(whole.perturbations) if p.is_double]
    singles = [row for row, p in enumerate(whole.perturbations) if not p.is_double]
    train, validation = cells(part(whole, singles + doubles[:9])), cells(part(whole, doubles[9:11]), False)
    method, ridge = Saturation().fit(train, validation), MainEffects().fit(train, validation)
    assert (method.base_, method.terms_) == ("plain", "none")
    for double in whole.perturbations:
        np.testing.assert_allclose(method.shift(double), ridge.shift(double))


@pytest.mark.parametrize("base", ["plain", "components"])
def test_what_is_set_is_not_chosen(base):
    train, validation, _ = divided(changes(add, noise=0.1))
    method = Saturation(SaturationConfig(base=base, terms="fifteen")).fit(train, validation)
    assert (method.base_, method.terms_, len(method.coefficients_)) == (base, "fifteen", 15)


def test_the_base_of_least_error_is_chosen():
    whole = changes(add, noise=0.3)
    train, validation, _ = divided(whole)
    learned = [p for part_ in (train, validation) for p in part_.obs["perturbation"] if p != "control"]
    rows = [row for row, p in enumerate(whole.perturbations) if str(p) in learned]
    errors = {base: Folds(part(whole, rows), base).error() for base in ("plain", "components")}
    assert Saturation().fit(train, validation).base_ == min(errors, key=errors.get)
