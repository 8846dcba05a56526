"""Every registered method passes every check of the conformance suite, and the suite catches offenders."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmark.registry import list_methods, load_method
from benchmark.testing import CHECKS, Case, NonConformanceError, check_method
from benchmark.testing.checks import check_data_sets_do_not_mix, check_test_cells_do_not_matter
from methods.additive import Additive
from methods.train_mean import TrainMean
from tests.hosting.hosted import needs

METHODS = [listing.name for listing in list_methods() if listing.source.startswith("methods/")]


@cache
def case_of(name: str) -> Case:
    """One fitted case per method, shared by its checks."""
    return Case(load_method(name))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_conforms(name, check):
    needs(name)
    check(case_of(name))


class WorksInTheConstructor(TrainMean):
    def __init__(self, config=None, *, seed=0, device="auto"):
        super().__init__(config, seed=seed, device=device)
        self.helper = object()


class ForgetsToRefuse(TrainMean):
    def require_fitted(self):
        self.shift_ = getattr(self, "shift_", 0.0)


class ChangesItsInput(TrainMean):
    def fit(self, train, validation):
        super().fit(train, validation)
        train.X.data[:] = 0
        return self


class UsesGlobalRandomness(TrainMean):
    def fit(self, train, validation):
        np.random.random()  # noqa: NPY002
        return super().fit(train, validation)


class IgnoresItsSeed(TrainMean):
    def fit(self, train, validation):
        super().fit(train, validation)
        self.shift_ = self.shift_ + np.random.default_rng().random()
        return self


class Doubles64(TrainMean):
    def predict(self, control, perturbations):
        for cells in super().predict(control, perturbations):
            yield cells.astype(np.float64)


class RemembersTheLastQuestion(TrainMean):
    def predict(self, control, perturbations):
        for index, cells in enumerate(super().predict(control, perturbations)):
            yield cells + np.float32(index)


class SharesWhatItLearns(Additive):
    shared: dict = {}  # noqa: RUF012

    def fit(self, train, validation):
        super().fit(train, validation)
        type(self).shared["unseen"] = self.unseen_
        return self

    def shift(self, perturbation):
        learned = type(self).shared["unseen"]
        return np.resize(learned, len(self.unseen_))


class ForgetsWhenSaved(TrainMean):
    def fitted_state(self):
        state = super().fitted_state()
        return {key: value * 2 for key, value in state.items()}


@pytest.mark.parametrize(
    ("offender", "sentence"),
    [
        (WorksInTheConstructor, "constructor"),
        (ForgetsToRefuse, "before it is fitted"),
        (ChangesItsInput, "have been changed"),
        (UsesGlobalRandomness, r"numpy\.random"),
        (
            IgnoresItsSeed,
            r"same seed gave other numbers\. \(\d+ of \d+ answers differ, by at most 0\.\d+\.\)$",
        ),
        (Doubles64, "float32"),
        (RemembersTheLastQuestion, "order"),
        (ForgetsWhenSaved, "saved and loaded"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_suite_names_what_is_wrong(offender, sentence):
    with pytest.raises(NonConformanceError, match=sentence):
        check_method(offender)


def test_the_suite_notices_what_one_fit_does_to_another():
    with pytest.raises(NonConformanceError, match="second method changed"):
        check_data_sets_do_not_mix(Case(SharesWhatItLearns))


def test_the_suite_notices_test_cells_that_reach_a_method():
    """As they would if the views handed over more than they should."""
    case = Case(TrainMean)
    split = case.panel.split
    leaky = split.model_copy(update={"validation": (*split.validation, *split.test)})
    case.panel = replace(case.panel, split=leaky)
    with pytest.raises(NonConformanceError, match="there is a leak"):
        check_test_cells_do_not_matter(case)
