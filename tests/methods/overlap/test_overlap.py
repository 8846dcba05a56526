"""What methods that learn about overlap keep: something where effects saturate, nothing where they add."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.perturbation import Perturbation
from methods._overlap import OverlapMethod
from methods.boosted import Boosted
from methods.gated import Gated
from methods.main_effects import MainEffects
from methods.saturation import Saturation
from tests.methods.overlap.overlap_case import QUICK, SMALL, add, changes, divided, error, saturate

METHODS = {"saturation": Saturation, "boosted": lambda: Boosted(QUICK), "gated": lambda: Gated(SMALL)}
TRAIN, VALIDATION, ASKED = divided(changes(saturate, noise=0.05))


@pytest.fixture(scope="module", params=METHODS.values(), ids=METHODS)
def saturated(request) -> OverlapMethod:
    """A method that was fitted where effects saturate."""
    return request.param().fit(TRAIN, VALIDATION)


def test_overlap_is_found_where_effects_saturate(saturated):
    assert error(saturated, ASKED) < 0.7 * error(MainEffects().fit(TRAIN, VALIDATION), ASKED)


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
def test_effects_that_add_up_are_only_added(make):
    train, validation, asked = divided(changes(add, noise=0.1))
    method = make().fit(train, validation)
    for double in asked.perturbations:
        a, b = (method.effects_[method.genes_.index(gene)] for gene in double.genes)
        np.testing.assert_allclose(method.shift(double), method.intercept_ + a + b)


def test_singles_and_doubles_of_unknown_genes_are_those_of_the_base(saturated):
    single = saturated.intercept_ + saturated.effects_[saturated.genes_.index("P1")]
    np.testing.assert_allclose(saturated.shift(Perturbation(("P1",))), single)
    np.testing.assert_allclose(saturated.shift(Perturbation(("P1", "Z"))), single)
    assert saturated.unsupported(Perturbation(("P1", "Z"))) is None
    assert "none of its genes was perturbed" in saturated.unsupported(Perturbation(("Y", "Z")))


def test_what_was_learned_is_saved_and_loaded(saturated, tmp_path):
    saturated.save(tmp_path / "method")
    loaded = type(saturated).load(tmp_path / "method")
    for double in ASKED.perturbations:
        np.testing.assert_array_equal(loaded.shift(double), saturated.shift(double))
