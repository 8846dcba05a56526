"""GRNFlow with a prior: what the flow is told, what it generates around, and how far it is trusted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from benchmark.perturbation import Perturbation
from methods.grnflow_prior import GRNFlowPrior
from methods.main_effects import MainEffects
from tests.methods.grnflow.grnflow_case import (
    LABELS,
    cells,
    fitted,
    new,
    predicted,
    training_cells,
    validation_cells,
)

PERTURBED = ["A", "B", "G1", "G2"]


def learned_pool(monkeypatch, **settings: object):
    """The cells that a flow would learn from, and the method."""
    seen = []
    monkeypatch.setattr(GRNFlowPrior, "train_flow", lambda self, objective, *_: seen.append(objective.pool))
    monkeypatch.setattr(GRNFlowPrior, "_best_trust", lambda *_: 1.0)
    method = new(GRNFlowPrior, **settings)
    method.fit(training_cells(), validation_cells())
    return seen[0], method


def units() -> np.ndarray:
    """Deviation of each gene over training cells."""
    return training_cells().X.toarray().std(0)


def estimate_without(label: str, penalty: float) -> np.ndarray:
    """Ridge estimate of a mean change from the other training perturbations, in standard units."""
    train = training_cells()
    dense, labels = train.X.toarray().astype(np.float64), train.obs["perturbation"].to_numpy()
    control = dense[labels == "control"].mean(0)
    others = [other for other in LABELS[:-1] if other != label]
    design = np.array([[gene in other.split("+") for gene in PERTURBED] for other in others], float)
    changes = np.array([dense[labels == other].mean(0) - control for other in others])
    ridge = Ridge(alpha=penalty).fit(design, changes)
    asked = np.array([[gene in label.split("+") for gene in PERTURBED]], float)
    return ridge.predict(asked)[0] / units()


def test_a_training_perturbation_is_told_what_the_others_say_of_it(monkeypatch):
    """The estimate was fitted without it, so that it is as wrong as it will be for unseen ones."""
    pool, method = learned_pool(monkeypatch)
    assert pool.prior.shape == (6, 20, 3)
    order = [method.vocabulary_.tokens(label.split("+")) for label in LABELS]
    for row, pair in enumerate(pool.tokens.tolist()):
        label = LABELS[order.index(pair)]
        expected = estimate_without(label, method.prior_.penalty_)
        np.testing.assert_allclose(pool.prior[row, :, 0], expected, atol=2e-4)


def test_cells_are_generated_around_what_is_told(monkeypatch):
    """Centred cells and the estimate add up to the cells that are learned without centring."""
    centred, _ = learned_pool(monkeypatch)
    plain, _ = learned_pool(monkeypatch, centred=False)
    rows, genes = torch.arange(len(centred.perturbed)), torch.arange(centred.n_genes)
    kinds = torch.arange(len(centred.size)).repeat_interleave(centred.size)
    told = centred.prior[kinds, :, 0]
    torch.testing.assert_close(centred.targets(rows, kinds, genes) + told, plain.targets(rows, kinds, genes))
    assert torch.equal(centred.prior, plain.prior)
    assert told.abs().max() > 0.1


def test_the_flow_reads_the_control_cell_and_three_numbers_more():
    """The estimate and both effects, the larger first, alike for all cells; an unknown gene has no effect."""
    method = fitted(GRNFlowPrior)
    assert method.flow_.control_value.first.in_features == 4
    start = method.in_units(cells(["control"], 3).X)
    given = method.control_side(start, Perturbation.parse("A+B"))
    assert torch.equal(given[..., 0], start)
    assert torch.equal(given[0, :, 1:], given[2, :, 1:])
    estimate, first, second = (given[0, :, 1:].numpy() * units()[:, None]).T
    effects = method.prior_.effects_[[method.prior_.genes_.index(gene) for gene in ("A", "B")]]
    np.testing.assert_allclose(estimate, method.prior_.intercept_ + effects.sum(0), atol=1e-4)
    np.testing.assert_allclose(np.abs(first), np.abs(effects).max(0), atol=1e-4)
    np.testing.assert_allclose(first + second, effects.sum(0), atol=1e-4)
    unknown = method.control_side(start, Perturbation.parse("NEVER"))[0, :, 1:].numpy() * units()[:, None]
    np.testing.assert_allclose(unknown[:, 0], method.prior_.intercept_, atol=1e-4)
    assert np.abs(unknown[:, 1:]).max() == 0


def test_predictions_use_the_estimate_from_training_and_validation_cells():
    """As `main_effects` does, with the penalty that it chose."""
    method = fitted(GRNFlowPrior)
    baseline = MainEffects().fit(training_cells(), validation_cells())
    assert method.prior_.penalty_ == baseline.penalty_
    np.testing.assert_allclose(method.prior_.effects_, baseline.effects_)


def test_without_trust_the_mean_is_that_of_main_effects():
    """Cells still vary; their mean is the estimate."""
    method = fitted(GRNFlowPrior)
    method.trust_ = 0.0
    values = predicted(method, "A+B", control=cells(["control"], 40, seed=3))[0]
    estimate = method.prior_.control_mean_ + method.prior_.shift(Perturbation.parse("A+B"))
    np.testing.assert_allclose(values.mean(0), np.maximum(estimate, 0), atol=1e-3)
    assert values.std(0).mean() > 0.1


@pytest.mark.parametrize(("share", "trust"), [(0.5, 0.5), (-1.0, 0.0), (3.0, 1.0)])
def test_trust_is_the_least_squares_share_of_the_correction(monkeypatch, share, trust):
    """Where cells lie `share` of the way from the estimate to the flow's mean, within 0 and 1."""
    validation = validation_cells()
    real = validation.X.toarray().mean(0)

    def sample(self, flow, start, perturbation, options):
        estimate = np.maximum(self.prior_.control_mean_ + self.prior_.shift(perturbation), 0)
        return (estimate + (real - estimate) / share)[None]

    monkeypatch.setattr(GRNFlowPrior, "sample", sample)
    assert fitted(GRNFlowPrior).trust_ == pytest.approx(trust, abs=1e-3)


def test_without_validation_the_correction_is_trusted():
    method = new(GRNFlowPrior).fit(training_cells(), validation_cells()[:0].copy())
    assert method.trust_ == 1


def test_a_constant_gene_and_a_single_perturbation_are_fitted():
    train = cells(["control"] * 2 + ["A"], 12)
    dense = train.X.toarray()
    dense[:, 4] = 1.5
    train.X = type(train.X)(dense)
    values = predicted(new(GRNFlowPrior).fit(train, train[:0].copy()), "A", "B")[0]
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[:, 4], 1.5, atol=1e-5)
