"""Trainings are compared at the same share of their steps, by one loss."""

from __future__ import annotations

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from benchmark.machine.progress import CurveKeeper, report_to, stage
from benchmark.tuning.pictures import FEWEST, importances
from benchmark.tuning.watching import NotWorthItError, ValidationWatch


def watched(train, hopeless=lambda loss, percent: False):
    """What a watch is told while a function trains."""
    told = []

    def tell(loss, percent):
        told.append((percent, loss))
        return hopeless(loss, percent)

    with report_to(ValidationWatch(tell)):
        train()
    return told


def losses(name, total, at):
    """Train a stage that reports a loss after some of its steps."""
    with stage(name, total) as progress:
        for step in range(1, total + 1):
            progress.advance(loss=9.0, **({"validation": at[step]} if step in at else {}))


def test_shares_are_comparable_whatever_the_number_of_steps():
    assert watched(lambda: losses("train", 10, {5: 1.0})) == [(50, 1.0)]
    assert watched(lambda: losses("train", 4000, {2000: 1.0})) == [(50, 1.0)]


def test_the_loss_at_the_end_is_nobodys_business():
    assert watched(lambda: losses("train", 4, {2: 2.0, 4: 1.0})) == [(50, 2.0)]


def test_a_share_is_told_once():
    assert watched(lambda: losses("train", 1000, {501: 3.0, 502: 2.0, 510: 1.0})) == [(50, 3.0), (51, 1.0)]


def test_other_stages_are_not_mixed_in():
    def train():
        losses("train", 10, {2: 1.0})
        losses("fine-tune", 10, {5: 7.0})
        losses("no validation", 10, {})

    assert watched(train) == [(20, 1.0)]


def test_the_training_ends_where_it_is_hopeless_and_its_curves_remain():
    done = []

    def train():
        with stage("train", 10) as progress:
            for step in range(10):
                done.append(step)
                progress.advance(validation=1.0 * step)

    with report_to(ValidationWatch(lambda loss, percent: percent >= 30)):
        keeper = CurveKeeper()
        with pytest.raises(NotWorthItError), report_to(keeper):
            train()
    assert done == [0, 1, 2]
    assert keeper.curves["train/validation"] == [(1, 0.0), (2, 1.0)]


def trials(count, value):
    """Finished trials of two hyper-parameters, spread over their ranges."""
    places = {"decides": FloatDistribution(0, 1), "idle": FloatDistribution(0, 1)}
    found = []
    for number in range(count):
        params = {"decides": (number * 0.37) % 1, "idle": (number * 0.61) % 1}
        found.append(create_trial(params=params, distributions=places, value=value(params)))
    return found


def test_what_decides_is_important_and_the_shares_add_up():
    found = importances(trials(40, lambda params: params["decides"] ** 2), ["decides", "idle"], "minimize")
    assert list(found) == ["decides", "idle"]
    assert found["decides"] > 0.9
    assert sum(found.values()) == pytest.approx(1)


def test_nothing_is_said_of_importance_from_too_little():
    names = ["decides", "idle"]
    assert importances(trials(FEWEST - 1, lambda params: params["decides"]), names, "minimize") == {}
    assert importances(trials(40, lambda params: 1.0), names, "minimize") == {}
    pruned = [
        create_trial(state=TrialState.PRUNED, params=each.params, distributions=each.distributions)
        for each in trials(40, lambda params: params["decides"])
    ]
    assert importances(pruned, names, "minimize") == {}
