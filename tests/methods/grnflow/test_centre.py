"""What GRNFlow generates around: effects that were learned without the double that is told, and a readout."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from benchmark.perturbation import Perturbation
from methods import _readout_learner
from methods._effects import Folds, fit_effects, own_effects
from methods._flow.backbone import build_flow
from methods._flow.readout import ReadoutOptions
from methods._grnflow import centre_learner
from methods._grnflow.centre_learner import CentreLearner, spread_around
from methods._grnflow.learned_centre import LearnedCentre, Units
from methods._pseudobulk import Changes, mean_changes
from methods._readout_learner import ReadoutLearner
from methods.grnflow_prior import GRNFlowPrior
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from tests.methods.grnflow.grnflow_case import cells, fitted, new, predicted, training_cells, validation_cells

GENES, LATENT, NAMES = 12, 2, [f"P{index}" for index in range(8)]
UNITS = Units(np.full(GENES, 1.0), np.full(GENES, 1.5), np.full(GENES, 2.0))


def screen(
    saturation: float = 0.0, noise: float = 0.02, of_latent: float = 0.0
) -> tuple[Changes, torch.Tensor]:
    """All singles and doubles of eight genes; effects add up less a share of the smaller, latents add up.

    In doubles so much is added where the first latent is positive, and taken away where it is negative.
    """
    rng = np.random.default_rng(0)
    effects, on_latents = rng.normal(0, 1, (8, GENES)), rng.normal(0, 1, (8, GENES, LATENT))
    asked, changes, latents = [], [], []
    for first in range(8):
        for second in range(first, 8):
            both = [first] if first == second else [first, second]
            asked.append(Perturbation(tuple(NAMES[index] for index in both)))
            own = effects[both]
            overlap = np.where(own.prod(0) > 0, np.sign(own[0]) * np.abs(own).min(0), 0.0)
            change = own.sum(0)
            if len(both) == 2:
                change += of_latent * np.sign(on_latents[both].sum(0)[:, 0]) - saturation * overlap
            changes.append(change + rng.normal(0, noise, GENES))
            latents.append(on_latents[both].sum(0) + rng.normal(0, 0.3, (5, GENES, LATENT)))
    return Changes(tuple(asked), np.stack(changes), np.zeros(GENES)), torch.from_numpy(
        np.stack(latents)
    ).half()


@pytest.fixture
def quick(monkeypatch):
    """Readouts of 25 steps that do not read latents, which nobody has to choose."""
    monkeypatch.setattr(centre_learner, "better", lambda plain, other: (plain, 25))
    monkeypatch.setattr(ReadoutLearner, "best_steps", lambda learner: 25)


@pytest.fixture
def few_choices(monkeypatch):
    """Some steps or none: what more numbers of steps to choose from would add is time."""
    monkeypatch.setattr(_readout_learner, "CHECKED_AFTER", (80,))


def learned(bases=("learned",), **of_screen: float) -> tuple[LearnedCentre, torch.Tensor, Changes]:
    """A centre of the screen, and what is told of its perturbations."""
    changes, latents = screen(**of_screen)
    centre, told = CentreLearner(bases, ReadoutOptions(width=16, vector=2), 0).learn(changes, latents, UNITS)
    return centre, told, changes


@pytest.mark.parametrize(("most", "steps"), [(0, 0), (25, 25)])
def test_a_readout_learns_no_longer_than_it_may(most, steps):
    changes, latents = screen(saturation=0.8)
    options = ReadoutOptions(width=16, vector=2, learning_rate=0.03, most_steps=most)
    centre, _ = CentreLearner(("plain",), options, 0).learn(changes, latents, UNITS)
    assert centre.steps == steps
    assert (centre.readout is None) == (steps == 0)


@pytest.mark.parametrize("noise", [0.02, 3.0])
def test_effects_that_are_learned_by_descent_are_those_of_ridge_regression(noise):
    """The loss is the same, and so is what its weight is chosen by: each double, left out in its turn."""
    changes, _ = screen(noise=noise)
    learned, ridge = fit_effects(changes, "learned"), fit_effects(changes, "plain")
    np.testing.assert_allclose(learned.values, ridge.values, atol=1e-4)
    np.testing.assert_allclose(learned.intercept, ridge.intercept, atol=1e-4)


@pytest.mark.usefixtures("quick")
def test_a_double_is_told_what_effects_say_that_have_not_seen_it():
    """It is moved by 9 and nothing that is told of it moves; a single is told what all effects say."""
    changes, latents = screen()
    double = next(row for row, p in enumerate(changes.perturbations) if p.is_double)
    moved = changes.values.copy()
    moved[double] += 9
    learner = CentreLearner(("plain",), ReadoutOptions(width=16, vector=2), 0)
    _, before = learner.learn(changes, latents, UNITS)
    _, after = learner.learn(Changes(changes.perturbations, moved, changes.control_mean), latents, UNITS)
    torch.testing.assert_close(after[double, :, 0], before[double, :, 0])
    expected = (
        Folds(changes, "plain").unseen(changes.perturbations[double]).change(changes.perturbations[double])
    )
    np.testing.assert_allclose(before[double, :, 0], (1 + expected - 1.5) / 2, atol=1e-5)


@pytest.mark.usefixtures("quick")
def test_the_latent_is_told_as_a_sum_of_effects():
    centre, told, changes = learned()
    truth = screen()[1].float().mean(1)
    wrong = (told[..., 16:] - truth).square().mean() / truth.square().mean()
    assert float(wrong) < 0.05
    assert centre.told(changes.perturbations[1], UNITS).shape == (GENES, 1 + 15 + LATENT)


@pytest.mark.usefixtures("few_choices")
def test_a_readout_is_kept_where_effects_overlap():
    """With it the centre is nearer to the means of doubles that effects have not seen."""
    centre, told, changes = learned(saturation=0.8)
    assert centre.steps > 0
    on = [p.is_double for p in changes.perturbations]
    added = centre.readout.added(told[..., 1:16].numpy() * centre.readout.scales, told[..., 16:].numpy())
    plain, truth = (told[..., 0].numpy() * 2 + 1.5 - 1)[on], changes.values[on]
    assert np.square(plain + added[on] - truth).mean() < 0.6 * np.square(plain - truth).mean()


@pytest.mark.slow
@pytest.mark.parametrize(("of_latent", "read"), [(0.0, False), (1.0, True)])
def test_latents_are_read_where_they_tell_what_effects_do_not(of_latent, read):
    centre, told, _ = learned(saturation=0.8, of_latent=of_latent)
    assert centre.readout.reads_latent == read
    shapes, latent = told[1:2, :, 1:16].numpy(), told[1:2, :, 16:].numpy()
    same = np.array_equal(centre.readout.added(shapes, latent), centre.readout.added(shapes, latent + 1))
    assert same == (not read)
    assert ("does not read" in centre.about) == (not read)


@pytest.mark.usefixtures("quick")
def test_without_a_readout_a_flow_is_given_none():
    centre, *_ = learned()
    filled = build_flow(
        GRNFlowSparsePCA._shape(new(GRNFlowSparsePCA).config, 9, LATENT, GENES), seed=0
    ).centre
    filled.units.fill_(3.0)
    replace(centre, readout=None, steps=0).fill(filled, UNITS)
    assert not filled.units.any()


@pytest.mark.parametrize("reads", [False, True])
def test_what_a_flow_adds_is_what_the_readout_says(reads, monkeypatch):
    """The centre of a flow, filled, lies where the learned one says, in units of the flow."""
    shape = GRNFlowSparsePCA._shape(new(GRNFlowSparsePCA).config, 9, LATENT, GENES)
    options = ReadoutOptions(shape.readout_width, shape.readout_vector)
    monkeypatch.setattr(centre_learner, "better", lambda plain, other: (other if reads else plain, 25))
    changes, latents = screen(saturation=0.8)
    centre, told = CentreLearner(("learned",), options, 0).learn(changes, latents, UNITS)
    filled = build_flow(shape, seed=0).centre
    centre.fill(filled, UNITS)
    latent = told[..., 16:]
    found = filled(told, torch.arange(GENES), latent, torch.ones(len(told)))
    added = centre.readout.added(told[..., 1:16].numpy() * centre.readout.scales, latent.numpy())
    np.testing.assert_allclose(found.numpy(), told[..., 0].numpy() + added / 2, atol=1e-4)


def test_with_few_doubles_nothing_is_held_out_and_nothing_read_out():
    changes, latents = screen()
    kept = [row for row, p in enumerate(changes.perturbations) if not p.is_double]
    few = Changes(
        tuple(changes.perturbations[row] for row in kept), changes.values[kept], changes.control_mean
    )
    learner = CentreLearner(("learned",), ReadoutOptions(), 0)
    centre, told = learner.learn(few, latents[kept], UNITS)
    assert (centre.base, centre.steps, centre.readout) == ("plain", 0, None)
    np.testing.assert_allclose(told[0], centre.told(few.perturbations[0], UNITS))


def test_spread_is_around_what_was_told():
    points = torch.tensor([[1.0, 3.0], [4.0, 4.0]]).view(2, 2, 1, 1)
    means = torch.tensor([2.0, 1.0]).view(2, 1, 1)
    assert spread_around(points, means).item() == pytest.approx(((1 + 9) / 2) ** 0.5)
    assert spread_around(points[1:], torch.full((1, 1, 1), 4.0)).item() == pytest.approx(0.1)


@pytest.mark.usefixtures("quick")
def test_a_centre_is_saved_and_taken_back():
    centre, _, changes = learned(saturation=0.8)
    again = LearnedCentre.of(centre.state())
    for perturbation in (changes.perturbations[0], changes.perturbations[1]):
        np.testing.assert_array_equal(again.told(perturbation, UNITS), centre.told(perturbation, UNITS))
    shapes = np.ones((1, GENES, 15))
    latent = np.ones((1, GENES, LATENT), np.float32)
    np.testing.assert_array_equal(again.readout.added(shapes, latent), centre.readout.added(shapes, latent))


def test_predictions_use_effects_of_training_and_validation_cells():
    method = fitted(GRNFlowPrior)
    both = mean_changes(training_cells(), validation_cells())
    np.testing.assert_array_equal(method.centre_.effects.values, own_effects(both).values)


@pytest.mark.usefixtures("few_choices")
def test_the_readout_learns_again_from_doubles_that_have_no_latents():
    """Trained on doubles whose effects add up, completed with others whose effects overlap."""
    changes, latents = screen(saturation=0.8)
    doubles = [row for row, p in enumerate(changes.perturbations) if p.is_double]
    kept = [row for row in range(len(changes.perturbations)) if row not in doubles[::2]]
    seen = Changes(
        tuple(changes.perturbations[row] for row in kept), changes.values[kept], changes.control_mean
    )
    learner = CentreLearner(("plain",), ReadoutOptions(width=16, vector=2), 0)
    centre, _ = learner.learn(seen, latents[kept], UNITS)
    whole = learner.complete(centre, changes, seen, latents[kept])
    np.testing.assert_array_equal(whole.effects.values, Folds(changes, "plain").effects().values)
    np.testing.assert_array_equal(whole.latent_effects.values, centre.latent_effects.values)
    again = learner.complete(centre, seen, seen, latents[kept])
    left_out = [changes.perturbations[row] for row in doubles[::2]]
    assert error(whole, left_out, changes) < 0.8 * error(again, left_out, changes)


@pytest.mark.usefixtures("quick")
def test_the_readout_that_learns_again_from_nothing_new_is_the_same():
    changes, latents = screen(saturation=0.8)
    learner = CentreLearner(("plain",), ReadoutOptions(width=16, vector=2), 0)
    centre, _ = learner.learn(changes, latents, UNITS)
    again = learner.complete(centre, changes, changes, latents)
    shapes, latent = np.ones((1, GENES, 15)), np.ones((1, GENES, LATENT), np.float32)
    np.testing.assert_allclose(again.readout.added(shapes, latent), centre.readout.added(shapes, latent))


@pytest.mark.usefixtures("quick")
def test_a_flow_predicts_around_the_mean_that_was_learned_last():
    """Twelve doubles to learn from and three to validate on; the readout of both is what predictions have.

    In full precision, whatever the flow computes in.
    """
    names = [f"G{index}" for index in range(6)]
    doubles = ["+".join(pair) for pair in combinations(names, 2)]
    train, validation = cells(["control"] * 2 + names + doubles[3:], 6), cells(doubles[:3], 6, seed=1)
    method = new(GRNFlowSparsePCA, precision="bfloat16").fit(train, validation)
    given, completed = mean_changes(train), mean_changes(train, validation)
    assert method.centre_.readout is not None
    np.testing.assert_array_equal(method.centre_.effects.values, Folds(completed, "learned").effects().values)
    assert not np.allclose(method.centre_.effects.values, Folds(given, "learned").effects().values)
    asked = Perturbation.parse(doubles[0])
    told = method.centre_.told(asked, method._units)
    added = method.centre_.readout.added(told[None, :, 1:16] * method.centre_.readout.scales)[0]
    expected = told[:, 0] + added * method._units.inverse
    (mean,) = method.predict_mean([asked])
    known = method.deviation_ > 0
    np.testing.assert_allclose(
        mean[known], np.maximum(expected * method.deviation_ + method.mean_, 0)[known], atol=1e-3
    )


def error(centre: LearnedCentre, asked: list[Perturbation], changes: Changes) -> float:
    """Mean squared error of a centre's mean."""
    wrong = []
    for perturbation in asked:
        told = centre.told(perturbation, UNITS)
        added = centre.readout.added(told[None, :, 1:16] * centre.readout.scales, told[None, :, 16:])[0]
        real = changes.values[changes.perturbations.index(perturbation)]
        wrong.append(told[:, 0] * 2 + 0.5 + added - real)
    return float(np.square(wrong).mean())


def test_a_constant_gene_and_a_single_perturbation_are_fitted():
    train = cells(["control"] * 2 + ["A"], 12)
    dense = train.X.toarray()
    dense[:, 4] = 1.5
    train.X = type(train.X)(dense)
    values = predicted(new(GRNFlowPrior).fit(train, train[:0].copy()), "A", "B")[0]
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[:, 4], 1.5, atol=1e-5)
