"""The verdict follows from the differences by the rules that the report states, and by nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmark.board import HEADLINE
from benchmark.evaluation.metrics import METRICS
from benchmark.studies.order.arms import NEGATIVES, decisive, of_controls, of_latent, of_orders
from benchmark.studies.order.preconditions import Precondition
from benchmark.studies.order.reading import NEEDED, is_behind, outcome, read, worthwhile
from benchmark.studies.order.statistics import Difference, compare
from benchmark.studies.order.verdict import Verdict, decide

SEEDS = 3
SOURCE = "regression"
DECISIVE = decisive(SOURCE, NEGATIVES)
MET = (Precondition("one", True, "", "one fails"), Precondition("two", True, "", "two fails"))
LABELS = [f"p{index}" for index in range(40)]


def scores(gain: float, seed: int) -> dict[int, dict[str, dict[str, float]]]:
    """Three seeds around a score of .5 in every metric, better by `gain` whichever way is better."""
    rng = np.random.default_rng(seed)

    def values(name):
        sign = 1 if METRICS[name].spec.higher_is_better else -1
        return {label: float(0.5 + sign * gain + rng.normal(0, 0.01)) for label in LABELS}

    return {which: {name: values(name) for name in HEADLINE} for which in range(SEEDS)}


def differences(gain: float) -> list[Difference]:
    return compare(scores(gain, 1), scores(0, 2))


@pytest.fixture(scope="module")
def kinds() -> dict[str, list[Difference]]:
    return {"ahead": differences(0.05), "equal": differences(0.0), "behind": differences(-0.05)}


def comparisons(kinds, **exceptions):
    """All decisive comparisons ahead, but for some: by index in DECISIVE."""
    found = dict.fromkeys(DECISIVE, kinds["ahead"])
    for index, kind in exceptions.items():
        found[DECISIVE[int(index[1:])]] = kinds[kind]
    return found


def number(**changes: object) -> Difference:
    """A difference in `pearson`, by default a clear gain."""
    usual = {"mean": 0.1, "low": 0.05, "high": 0.15, "p": 0.001, "corrected": 0.004, "second": 0.5}
    plain = {"metric": "pearson", "better": 1.0, "worse": 0.0, "n": 9, "undefined": 0, "by_seed": {0: 0.1}}
    plain["deviation"] = 0.1
    return Difference(**{**plain, **usual, **changes})


def judged(found, preconditions=MET) -> Verdict:
    """What follows for the one source."""
    return decide(SOURCE, NEGATIVES, found, preconditions, SEEDS)


def noisy(differences: list[Difference]) -> list[Difference]:
    """The same with intervals that leave everything possible."""
    return [dataclasses.replace(each, corrected=0.2, low=-0.2, high=0.3) for each in differences]


def test_the_needed_majority_is_three_of_the_four_headline_metrics():
    assert (NEEDED, len(HEADLINE)) == (3, 4)


@pytest.mark.parametrize(
    ("changes", "reading"),
    [
        ({}, "better"),
        ({"corrected": 0.05}, "undecided"),
        ({"low": -0.01}, "undecided"),
        ({"mean": -0.1, "low": -0.15, "high": -0.05}, "worse"),
        ({"mean": 0.0, "low": -0.02, "high": 0.02, "corrected": 1.0}, "no better"),
        ({"mean": 0.0, "low": -0.02, "high": 0.03, "corrected": 1.0}, "undecided"),
        ({"mean": 0.01, "low": 0.005, "high": 0.015, "corrected": 0.2}, "no better"),
        ({"mean": np.nan, "low": np.nan, "high": np.nan, "corrected": np.nan, "n": 0}, "undecided"),
    ],
)
def test_a_metric_is_read_from_p_value_interval_and_the_smallest_gain_that_counts(changes, reading):
    """Here a twentieth of 1 - 0.5 is 0.025."""
    assert read(number(**changes)) == reading


@pytest.mark.parametrize(
    ("metric", "expected"), [("mse", 0.01), ("pearson", 0.04), ("direction_balanced", 0.04)]
)
def test_the_smallest_gain_that_counts_is_a_share_of_the_way_to_a_perfect_score(metric, expected):
    assert worthwhile(number(metric=metric, second=0.2)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("better", "worse", "equal", "expected"),
    [
        (4, 0, 0, "ahead"),
        (3, 0, 1, "ahead"),
        (3, 1, 0, "undecided"),
        (2, 0, 2, "undecided"),
        (1, 2, 1, "not ahead"),
        (1, 0, 3, "not ahead"),
        (0, 4, 0, "not ahead"),
        (0, 0, 0, "undecided"),
    ],
)
def test_three_of_four_metrics_carry_a_comparison_and_one_that_is_worse_stops_it(
    better, worse, equal, expected
):
    undecided = number(corrected=0.5, low=-0.1)
    found = [number()] * better + [number(mean=-0.1, low=-0.2, high=-0.05)] * worse
    found += [number(mean=0.0, low=-0.01, high=0.01, corrected=1.0)] * equal
    assert outcome([*found, *[undecided] * (4 - len(found))]) == expected


def test_constructed_arms_come_out_as_they_were_made(kinds):
    assert {name: outcome(found) for name, found in kinds.items()} == {
        "ahead": "ahead",
        "equal": "not ahead",
        "behind": "not ahead",
    }


def test_ahead_of_both_orders_and_all_controls_supports(kinds):
    found = judged(comparisons(kinds))
    assert (found.answer, found.not_made) == ("supported", [])
    assert set(found.outcomes.values()) == {"ahead"}


@pytest.mark.parametrize("index", range(len(DECISIVE)))
@pytest.mark.parametrize("kind", ["equal", "behind"])
def test_one_order_or_control_that_does_as_well_refutes(kinds, index, kind):
    assert judged(comparisons(kinds, **{f"_{index}": kind})).answer == "refuted"


def test_one_undecided_comparison_leaves_it_open(kinds):
    found = comparisons(kinds) | {of_orders(SOURCE)[0]: noisy(kinds["ahead"])}
    assert judged(found).answer == "open"


def test_a_control_that_is_missing_leaves_it_open_and_is_named(kinds):
    found = comparisons(kinds)
    missing = of_controls(SOURCE, NEGATIVES)[1]
    del found[missing]
    verdict = judged(found)
    assert (verdict.answer, verdict.not_made) == ("open", [missing])


def test_a_comparison_without_all_seeds_decides_nothing(kinds):
    """Whichever way it points: the seeds that are there may be those that came out well."""
    fewer = [dataclasses.replace(each, by_seed={0: 0.1, 1: 0.1}) for each in kinds["equal"]]
    joint = of_orders(SOURCE)[1]
    verdict = judged(comparisons(kinds) | {joint: fewer})
    assert (verdict.answer, verdict.not_made) == ("open", [joint])
    assert joint not in verdict.outcomes


def test_the_method_without_a_latent_does_not_enter_the_verdict(kinds):
    for kind in kinds.values():
        verdict = judged(comparisons(kinds) | {of_latent(SOURCE): kind})
        assert (verdict.answer, of_latent(SOURCE) in verdict.outcomes) == ("supported", False)


@pytest.mark.parametrize("holds", [False, None])
@pytest.mark.parametrize("exceptions", [{}, {"_1": "equal"}])
def test_one_precondition_that_is_not_met_leaves_it_open_and_is_the_reason(kinds, holds, exceptions):
    """Whatever the comparisons say; they are shown all the same."""
    unmet = (MET[0], dataclasses.replace(MET[1], holds=holds))
    verdict = judged(comparisons(kinds, **exceptions), unmet)
    assert (verdict.answer, verdict.reason) == ("open", "two fails")
    assert list(verdict.outcomes) == list(DECISIVE)


def test_all_reasons_are_named_and_none_where_all_is_met(kinds):
    both = tuple(dataclasses.replace(each, holds=False) for each in MET)
    assert judged(comparisons(kinds), both).reason == "one fails; two fails"
    assert judged(comparisons(kinds)).reason == ""


@pytest.mark.parametrize(("worse", "behind"), [(0, False), (2, False), (3, True), (4, True)])
def test_an_arm_is_behind_where_most_metrics_are_worse(worse, behind):
    found = [number(mean=-0.1, low=-0.2, high=-0.05)] * worse + [number()] * (4 - worse)
    assert is_behind(found) == behind
