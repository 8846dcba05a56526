"""What must hold before anything is concluded: each rule at its edge, and where it cannot be judged."""

from __future__ import annotations

import pytest

from benchmark.studies.order.arms import OF_TOLD, ORACLE, of_orders
from benchmark.studies.order.preconditions import (
    TOLERANCE,
    LatentFit,
    finds_effect,
    latent_generated,
    latent_known,
    latent_matters,
    not_behind,
    without_truth,
)
from tests.studies.order.test_verdict import number

AHEAD = [number()] * 4
EQUAL = [number(mean=0.0, low=-0.01, high=0.01, corrected=1.0)] * 4
BEHIND = [number(mean=-0.1, low=-0.2, high=-0.05)] * 4
FIRST, JOINT = of_orders(ORACLE)


@pytest.mark.parametrize(("differences", "holds"), [(AHEAD, True), (EQUAL, True), (BEHIND, False)])
def test_an_arm_may_be_level_with_the_bar_and_not_behind(differences, holds):
    found = not_behind(differences, 1)
    assert found.holds is holds
    assert found.reason == "it is behind main_effects"


def test_two_metrics_that_are_worse_are_not_yet_behind():
    assert not_behind([*BEHIND[:2], *EQUAL[:2]], 1).holds
    assert not_behind([*BEHIND[:3], *AHEAD[:1]], 1).holds is False
    assert not_behind([*BEHIND[:3], *AHEAD[:1]], 1).figures == "better in 1, worse in 3"


@pytest.mark.parametrize("differences", [[], AHEAD])
def test_a_seed_without_a_run_of_the_bar_leaves_it_unjudged(differences):
    found = not_behind(differences, 2)
    assert (found.holds, found.figures) == (None, "not made in every seed")
    assert found.reason == "it cannot be judged whether it is behind main_effects"


@pytest.mark.parametrize(
    ("own", "holds"),
    [
        ((0.5, 0.5), True),
        ((0.9, 0.9), True),
        ((0.5 - TOLERANCE + 0.001, 0.5), True),
        ((0.5 - TOLERANCE - 0.001, 0.5 - TOLERANCE - 0.001), False),
        ((0.45, 0.52), True),  # on average
    ],
)
def test_latents_are_predicted_as_a_ridge_does_within_a_tolerance(own, holds):
    found = latent_known({seed: LatentFit(value, 0.5, None) for seed, value in enumerate(own)}, 2)
    assert found.holds is holds
    assert found.figures.startswith(f"R² {own[0]:.3f} against 0.500; ")
    assert found.reason == "its latent is predicted worse than by a ridge"


def test_a_training_that_does_not_say_leaves_it_unjudged():
    fits = {0: LatentFit(0.5, 0.5, 1.0), 1: LatentFit(None, None, None)}
    assert latent_known(fits, 2).holds is latent_generated(fits, 2).holds is None
    assert latent_known({0: fits[0]}, 2).holds is None
    assert latent_known(fits, 2).figures == "a training does not say"
    assert latent_known(fits, 2).reason == "it cannot be judged how well its latent is predicted"


@pytest.mark.parametrize(
    ("generated", "own", "holds"),
    [
        (1.0, 0.9, True),
        (0.979, 0.9, True),  # costs .0189
        (0.977, 0.9, False),  # costs .0207
        (0.5, 0.03, True),  # of little that is known little is lost
        (0.5, -0.1, True),
    ],
)
def test_what_is_generated_lies_where_it_is_told(generated, own, holds):
    found = latent_generated({0: LatentFit(own, None, generated)}, 1)
    assert found.holds is holds
    assert found.figures == f"R² {generated:.3f} (costs {max(own, 0) * (1 - generated):.3f})"


@pytest.mark.parametrize(
    ("differences", "holds"), [(AHEAD, True), (EQUAL, False), (BEHIND, False), ([], None)]
)
def test_the_true_latent_must_be_ahead_of_a_wrong_one(differences, holds):
    assert latent_matters({OF_TOLD: differences}, 1).holds is holds
    assert latent_matters({}, 1).holds is None


@pytest.mark.parametrize(
    ("first", "joint", "holds"),
    [
        (AHEAD, AHEAD, True),
        (AHEAD, EQUAL, False),
        (EQUAL, AHEAD, False),
        (BEHIND, BEHIND, False),
        (AHEAD, [], None),
    ],
)
def test_the_oracle_must_be_ahead_of_both_orders(first, joint, holds):
    found = finds_effect({FIRST: first, JOINT: joint}, 1)
    assert found.holds is holds
    assert found.reason == (
        "there is no positive control in every seed"
        if holds is None
        else "this experiment could not have found an effect"
    )
    assert finds_effect({FIRST: AHEAD, JOINT: AHEAD}, 2).holds is None  # made in one seed


def test_without_a_truth_nothing_can_be_judged():
    found = without_truth()
    assert (found.holds, found.reason) == (
        None,
        "no truth is known of these data, so there is no positive control",
    )
    assert "`simulated`" in found.figures
