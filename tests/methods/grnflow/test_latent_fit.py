"""What a training says of its latents: how well they are known, and whether the flow keeps to it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from benchmark.perturbation import Perturbation
from methods._effects import FOLDS, Base, Folds
from methods._grnflow import latent_fit
from methods._grnflow.centre_learner import mean_latents, unseen
from methods._grnflow.latent_fit import generated_r2, held_out_r2, r2
from methods._pseudobulk import Changes
from methods.grnflow_any_order import GRNFlowAnyOrder
from tests.methods.grnflow.grnflow_case import fitted, recorded
from tests.methods.grnflow.test_centre import screen


def test_r2_by_hand_and_as_sklearn_has_it():
    assert r2(np.array([1.0, 2.0]), np.array([0.0, 2.0])) == 1 - 1 / 2
    rng = np.random.default_rng(0)
    said, real = rng.normal(size=(2, 5, 7))
    assert r2(said, real) == pytest.approx(r2_score(real.ravel(), said.ravel()))
    assert r2(np.zeros(3), np.ones(3)) is None


def told_by(changes: Changes, latents: torch.Tensor, base: Base) -> torch.Tensor:
    """What a centre tells of latents, by effects of a base that have not seen a double; nothing else."""
    means = mean_latents(changes, latents)
    on_latents = unseen(Folds(means, base), means).unflatten(1, latents.shape[2:])
    return torch.cat([torch.zeros(*on_latents.shape[:2], 16), on_latents], dim=-1)


@pytest.mark.parametrize("base", ["plain", "components"])
def test_doubles_are_judged_by_effects_that_have_not_seen_them(base):
    """The ridge by its folds, written out; the base in use by what is told of each."""
    changes, latents = screen()
    found = held_out_r2(changes, latents, told_by(changes, latents, base))
    means = latents.float().mean(1).flatten(1).double().numpy()
    folds = Folds(Changes(changes.perturbations, means, changes.control_mean), "plain")
    real, said = [], []
    for fold in range(FOLDS):
        doubles, values = folds.doubles(fold)
        real.append(values)
        said += [folds.effects(fold).change(double) for double in doubles]
    expected = r2_score(np.concatenate(real).ravel(), np.stack(said).ravel())
    assert found["ridge_latent_r2"] == pytest.approx(expected, abs=1e-6)
    assert found["latent_r2"] == pytest.approx(found["ridge_latent_r2"], abs=0 if base == "plain" else 0.02)
    assert found["latent_r2"] > 0.9


def test_latents_that_are_noise_are_not_predicted():
    changes, latents = screen()
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    assert held_out_r2(changes, noise, told_by(changes, noise, "plain"))["latent_r2"] < 0.1


def test_with_few_doubles_nothing_is_said():
    changes, latents = screen()
    kept = [row for row, p in enumerate(changes.perturbations) if not p.is_double]
    few = Changes(tuple(changes.perturbations[k] for k in kept), changes.values[kept], changes.control_mean)
    assert held_out_r2(few, latents[kept], torch.zeros(len(kept), 12, 18)) == {}


def test_what_is_generated_is_held_against_what_is_told(monkeypatch):
    """A flow that gives what it is told and, of one gene of the two, one more."""
    told = {"A": torch.tensor([[1.0], [3.0]]), "B": torch.tensor([[2.0], [-2.0]])}

    def around(start, perturbation):
        return torch.cat([torch.zeros(*start.shape, 2), told[str(perturbation)].expand(4, 2, 1)], -1)

    def trace(flow, given, tokens, x0, z0, context, options):
        assert float(z0.mean().abs()) < 1e-6  # noise of opposites
        return torch.stack([z0, given[..., -1:] + torch.tensor([[1.0], [0.0]]) + z0]), None

    monkeypatch.setattr(latent_fit, "trace_cascade", trace)
    method = SimpleNamespace(around=around, tokens=lambda _: [0, 1], shape_=SimpleNamespace(latent=1))
    asked = [(Perturbation.parse(label), torch.zeros(4, 2)) for label in told]
    found = generated_r2(method, None, asked, None, None)
    assert found == {"generated_latent_r2": pytest.approx(1 - 2 / 14)}
    assert generated_r2(method, None, [], None, None) == {}


def test_a_training_reports_where_its_flow_generates_latents():
    """Hardly trained, it generates around what it is told."""
    with recorded() as seen:
        fitted(GRNFlowAnyOrder, attention_source="regression")
    assert seen.all("learn centre", "latent_r2") == []  # three doubles
    (found,) = seen.all("complete centre", "generated_latent_r2")
    assert 0.5 < found <= 1
