"""Every registered method passes every check of the conformance suite, and the suite catches offenders."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest

from benchmark.means import MovableCells
from benchmark.registry import Listing, list_methods, load_method
from benchmark.testing import CHECKS, Case, NonConformanceError, check_method
from benchmark.testing.checks import (
    check_global_state_is_left_alone,
    check_saved_methods_answer_alike_in_a_fresh_process,
)
from benchmark.testing.context_checks import (
    check_a_context_without_controls_gets_an_answer_or_a_reason,
    check_an_answer_lies_around_the_controls_of_its_context,
    check_an_unseen_context_gets_an_answer_or_a_reason,
)
from methods.additive import Additive
from methods.train_mean import TrainMean
from tests.hosting.hosted import needs

PROJECTIONS = ("grnflow_dense", "grnflow_scalar", "grnflow_sparse_topk")
"""Differ from `grnflow_sparse_pca` in a projection alone, which tests of their own check."""


def marks(listing: Listing) -> list[pytest.MarkDecorator]:
    """One worker does all checks of a method; an environment of its own takes long to start."""
    hosted = listing.folder is not None and (listing.folder / "worker.py").is_file()
    slow = hosted or listing.name in PROJECTIONS
    return [pytest.mark.xdist_group(listing.name), *([pytest.mark.slow] if slow else [])]


METHODS = [
    pytest.param(listing.name, marks=marks(listing))
    for listing in list_methods()
    if listing.source.startswith("methods/")
]


@cache
def case_of(name: str) -> Case:
    """One case per method, whose fits all checks share."""
    return Case(load_method(name))


FRESH = check_saved_methods_answer_alike_in_a_fresh_process
FAMILIES = ("grnflow_prior", "linear")
"""With a network and without; a fresh process takes as long as all other checks of a method."""


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check is not FRESH], ids=lambda check: check.__name__
)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_conforms(name, check):
    needs(name)
    check(case_of(name))


@pytest.mark.parametrize(
    "name",
    [
        each
        if each.values[0] in FAMILIES
        else pytest.param(*each.values, marks=[*each.marks, pytest.mark.slow])
        for each in METHODS
    ],
)
def test_every_method_answers_alike_in_a_fresh_process(name):
    needs(name)
    FRESH(case_of(name))


class WorksInTheConstructor(TrainMean):
    def __init__(self, config=None, *, seed=0, device="auto"):
        super().__init__(config, seed=seed, device=device)
        self.helper = object()


class ForgetsToRefuse(TrainMean):
    def require_fitted(self):
        self.shift_ = getattr(self, "shift_", 0.0)
        self.control_mean_ = getattr(self, "control_mean_", np.ones(40))


class ReturnsNothing(TrainMean):
    def fit(self, train, validation):
        super().fit(train, validation)


class ChangesItsInput(TrainMean):
    def fit(self, train, validation):
        super().fit(train, validation)
        train.X.data[:] = 0
        return self


class ChangesItsInputLater(TrainMean):
    def fit(self, train, validation):
        self.kept = train
        return super().fit(train, validation)

    def predict(self, control, perturbations):
        self.require_fitted()
        self.kept.X.data[:] = 0
        return super().predict(control, perturbations)


class UsesGlobalRandomness(TrainMean):
    def fit(self, train, validation):
        np.random.random()  # noqa: NPY002
        return super().fit(train, validation)


class SilencesWarnings(TrainMean):
    def fit(self, train, validation):
        warnings.simplefilter("ignore")
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
    def predict_mean(self, perturbations):
        return None

    def predict(self, control, perturbations):
        self.require_fitted()
        for index, _ in enumerate(perturbations):
            yield control.X.toarray() + np.float32(index)


class DeclaresAnotherMean(TrainMean):
    def predict(self, control, perturbations):
        for cells in super().predict(control, perturbations):
            yield cells + np.float32(0.25)


class FractionsOfCounts(TrainMean):
    expression = "counts"

    def predict_mean(self, perturbations):
        return None

    def predict(self, control, perturbations):
        self.require_fitted()
        for _ in perturbations:
            yield (control.layers["counts"].toarray() * 0.5).astype(np.float32)


class ForgetsWhenSaved(TrainMean):
    def fitted_state(self):
        state = super().fitted_state()
        return {key: value * 2 for key, value in state.items()}


@pytest.mark.parametrize(
    ("offender", "sentence"),
    [
        (WorksInTheConstructor, "constructor"),
        (ForgetsToRefuse, "before it is fitted"),
        (ReturnsNothing, "does not return self"),
        (ChangesItsInput, "have been changed"),
        (ChangesItsInputLater, "have been changed"),
        (UsesGlobalRandomness, r"changes the state of numpy\.random, which"),
        (SilencesWarnings, "changes the warning filters, which"),
        (
            IgnoresItsSeed,
            r"same seed gave other numbers\. \(\d+ of \d+ answers differ, by at most 0\.\d+\.\)$",
        ),
        (Doubles64, "float32"),
        (RemembersTheLastQuestion, "order"),
        (
            DeclaresAnotherMean,
            r"says that the mean of \S+ is \d+\.?\d* in \S+, but that of its 12 cells is \d+\.\d+; move",
        ),
        (FractionsOfCounts, "holds what is no whole number; draw counts"),
        (ForgetsWhenSaved, "saved and loaded"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_suite_names_what_is_wrong(offender, sentence):
    with pytest.raises(NonConformanceError, match=sentence):
        check_method(offender)


def test_what_an_import_does_to_warnings_is_not_the_method():
    """The first fit in a process imports packages that set filters of their own; later ones do not."""
    imported = []

    class ImportsOnTheWay(TrainMean):
        def fit(self, train, validation):
            if not imported:
                imported.append(True)
                warnings.filterwarnings("ignore", message="of a package")
            return super().fit(train, validation)

    before = list(warnings.filters)
    check_global_state_is_left_alone(Case(ImportsOnTheWay))
    assert imported
    assert warnings.filters == before


class ForgetsContexts(Additive):
    """Moves cells to the mean of one context and says that of another."""

    name = "forgets_contexts"

    def predict_mean(self, perturbations):
        for perturbation in perturbations:
            yield np.maximum(self.control_mean_ + self.shift(perturbation), 0)

    def predict(self, control, perturbations):
        moved = MovableCells(control.X.toarray())
        for each in perturbations:
            yield moved.to(self.control_mean(each.context) + self.shift(each)).astype(np.float32)


def test_the_mean_of_another_context_is_caught():
    with pytest.raises(NonConformanceError, match="it is that of the context that is asked"):
        check_an_unseen_context_gets_an_answer_or_a_reason(Case(ForgetsContexts))


class PoolsControls(Additive):
    """Lies around the control cells of all contexts."""

    name = "pools_controls"

    def control_mean(self, context):
        return self.control_mean_


class LiesElsewhere(Additive):
    """Lies around the control cells of another context."""

    name = "lies_elsewhere"

    def control_mean(self, context):
        means = dict(zip(self.contexts_, self.control_means_, strict=True))
        return next(mean for name, mean in means.items() if name != context)


class SaysNoMeans(LiesElsewhere):
    """Does the same, and says no means."""

    name = "says_no_means"

    def predict_mean(self, perturbations):
        return None

    def predict(self, control, perturbations):
        cells = MovableCells(control.X.toarray())
        for mean in LiesElsewhere.predict_mean(self, perturbations):
            yield cells.to(mean).astype(np.float32)


class LiesNowhere(Additive):
    """Lies around what no control cell says."""

    name = "lies_nowhere"

    def control_mean(self, context):
        return np.ones_like(self.control_mean_)


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        (PoolsControls, "another context is higher, answers of pools_controls rise by 50%"),
        (LiesElsewhere, "another context is higher, answers of lies_elsewhere rise by 100%"),
        (SaysNoMeans, "another context is higher, answers of says_no_means rise by 100%"),
        (LiesNowhere, "context that is asked are higher, answers of lies_nowhere rise by -?0%"),
    ],
)
def test_an_answer_around_other_control_cells_is_caught(method, problem):
    with pytest.raises(NonConformanceError, match=problem):
        check_an_answer_lies_around_the_controls_of_its_context(Case(method))


class GoesSilent(Additive):
    """Refuses a context that it does not know, and does not say why."""

    name = "goes_silent"

    def unsupported(self, perturbation):
        return None if perturbation.context in self.contexts_ else " "


class Fails(Additive):
    """Raises something else than a sentence."""

    name = "fails"

    def control_mean(self, context):
        return self.control_means_[self.contexts_.index(context)]


def test_a_context_that_was_never_seen_is_refused_in_a_sentence():
    check_a_context_without_controls_gets_an_answer_or_a_reason(Case(Additive))
    with pytest.raises(NonConformanceError, match=r"NEVER-SEEN::.* is refused without a sentence"):
        check_a_context_without_controls_gets_an_answer_or_a_reason(Case(GoesSilent))
    with pytest.raises(ValueError, match="is not in list"):
        check_a_context_without_controls_gets_an_answer_or_a_reason(Case(Fails))
