"""One second fit serves four checks, and still each offender is blamed for what it does."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmark.testing import CHECKS, Case
from benchmark.testing.case import Panel
from benchmark.testing.checks import (
    check_data_sets_do_not_mix,
    check_only_what_is_given_matters,
    check_same_seed_same_answers,
    check_saved_methods_answer_alike_in_a_fresh_process,
    check_test_cells_do_not_matter,
)
from methods.additive import Additive
from methods.train_mean import TrainMean

IN_THIS_PROCESS = [
    check for check in CHECKS if check is not check_saved_methods_answer_alike_in_a_fresh_process
]
SEED, SETS = check_same_seed_same_answers, check_data_sets_do_not_mix
CELLS, GIVEN = check_test_cells_do_not_matter, check_only_what_is_given_matters
OF_SECOND_FITS = [SEED, SETS, CELLS, GIVEN]

CHANCE = "The same seed gave other numbers. ("
RARE_CHANCE = "The same seed gave other numbers, though not in every fit."
NEIGHBOUR = "Fitting a second method changed the first one. ("
MEMORY = "A method that was fitted before learns something else. ("
LEAK = "Predictions change with the test cells: there is a leak. ("
BEHIND = "Predictions change with the names of the cells, or with what stands behind them: "


class Shifted(TrainMean):
    """Moves its predictions by something that is none of its business."""

    def fit(self, train, validation):
        amount = self.amount(train, validation)
        super().fit(train, validation)
        self.shift_ = self.shift_ + np.float32(amount)
        return self

    def amount(self, train, validation):
        return 0


def memory_of(cells) -> np.ndarray:
    """Where the values of cells lie, perhaps beside others."""
    values = cells.X.data
    return values if values.base is None else values.base


class ReadsNames(Shifted):
    def amount(self, train, validation):
        return len(train.obs_names[0])


class ReadsTheWholeFile(Shifted):
    """Follows the memory of its cells to all others."""

    def amount(self, train, validation):
        return memory_of(train).mean()


class SeesThatThereIsAFile(Shifted):
    """Whatever is in it."""

    def amount(self, train, validation):
        return memory_of(train).size > train.X.data.size


class StartsFromItsLastFit(Shifted):
    def amount(self, train, validation):
        return self.shift_.mean() if hasattr(self, "shift_") else 0


class FitsOnce(Shifted):
    def amount(self, train, validation):
        if hasattr(self, "shift_"):
            raise RuntimeError("fitted already")
        return 0


class ReadsTheClock(Shifted):
    def amount(self, train, validation):
        return time.perf_counter() % 1


class CountsFits(Shifted):
    fits = 0

    def amount(self, train, validation):
        type(self).fits += 1
        return 0


class ErrsInItsThirdFit(CountsFits):
    def amount(self, train, validation):
        super().amount(train, validation)
        return self.fits == 3


class SharesWhatItLearns(Additive):
    shared = None

    def fit(self, train, validation):
        super().fit(train, validation)
        type(self).shared = self.unseen_
        return self

    def shift(self, perturbation):
        return np.resize(self.shared, len(self.unseen_))


class InOneFile(Panel):
    """A panel whose training cells lie in the memory of all cells."""

    @property
    def views(self):
        train, validation = super().views
        whole = np.concatenate([train.X.data, self.dataset.adata.X.data])
        train.X.data = whole[: len(train.X.data)]
        return train, validation


class Mixed(Panel):
    """A panel that hands over test cells for validation, as it would if the views were wrong."""

    @property
    def views(self):
        split = self.split.model_copy(update={"validation": self.split.test})
        return Panel(self.dataset, split).views


def case_of(method, panel=Panel) -> Case:
    """A case with a class of its own, so that what a method keeps in its class ends with the case."""
    case = Case(type(method.__name__, (method,), {}))
    case.panel = panel(case.panel.dataset, case.panel.split)
    return case


def blamed(cases) -> dict:
    """Which checks fail, each on its case, and what they say."""
    said = {}
    for check, case in cases.items():
        try:
            check(case)
        except (AssertionError, RuntimeError) as error:
            said[check] = str(error)
    return said


@pytest.mark.parametrize(
    ("offender", "panel", "due"),
    [
        (ReadsNames, Panel, {GIVEN: BEHIND}),
        (SeesThatThereIsAFile, InOneFile, {GIVEN: BEHIND}),
        (ReadsTheWholeFile, InOneFile, {CELLS: LEAK, GIVEN: BEHIND}),
        (TrainMean, Mixed, {CELLS: LEAK}),
        (StartsFromItsLastFit, Panel, {SETS: MEMORY}),
        (SharesWhatItLearns, Panel, {SETS: NEIGHBOUR}),
        (FitsOnce, Panel, {SETS: "fitted already"}),
        (ReadsTheClock, Panel, {SEED: CHANCE, SETS: MEMORY, CELLS: LEAK, GIVEN: BEHIND}),
        (ErrsInItsThirdFit, Panel, {SEED: RARE_CHANCE}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_offender_is_blamed_for_what_it_does_in_any_order(offender, panel, due):
    shared, again = case_of(offender, panel), case_of(offender, panel)
    for cases in (
        dict.fromkeys(OF_SECOND_FITS, shared),
        dict.fromkeys(OF_SECOND_FITS[::-1], again),
        {check: case_of(offender, panel) for check in OF_SECOND_FITS},
    ):
        said = blamed(cases)
        assert said.keys() == due.keys()
        assert all(said[check].startswith(sentence) for check, sentence in due.items())


@pytest.mark.parametrize("checks", [IN_THIS_PROCESS, IN_THIS_PROCESS[::-1]], ids=["in order", "backwards"])
def test_a_method_that_conforms_is_fitted_three_times_and_twice_to_contexts(checks):
    case = case_of(CountsFits)
    assert blamed(dict.fromkeys(checks, case)) == {}
    assert case.method_class.fits == 5


@pytest.mark.parametrize("check", IN_THIS_PROCESS, ids=lambda check: check.__name__)
def test_every_check_can_be_used_alone(check):
    assert blamed({check: case_of(CountsFits)}) == {}
