"""scDFM as a method: what it predicts, refuses and keeps."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._flow.graph import correlation, neighbours
from methods._flow.paths import counts_around
from methods.scdfm import ScDFM
from tests.methods.flow.flow_case import generator, same_weights
from tests.methods.grnflow.grnflow_case import (
    cells,
    fitted,
    new,
    predicted,
    recorded,
    training_cells,
    validation_cells,
)


@pytest.fixture
def fit(tmp_path_factory, monkeypatch):
    """A flow fitted once for the tests that only ask it."""
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path_factory.getbasetemp() / "scdfm"))
    return fit_once


@cache
def fit_once() -> ScDFM:
    return fitted(ScDFM)


def test_predictions_are_non_negative_cells(fit):
    """One float32 array (cells, genes) per perturbation, finite, at least 0, with spread between cells."""
    for values in predicted(fit(), "A", "A+G2", "B+G2"):
        assert values.shape == (10, 20)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.std(axis=0).mean() > 0.05


def test_negative_samples_are_clamped_and_nothing_else(fit, monkeypatch):
    """Unlike in GRNFlow, whose cells are lowered so that means stay."""
    method = fit()
    monkeypatch.setattr(ScDFM, "out_of_units", lambda self, cells: torch.tensor([[-1.0, 2.0], [4.0, -3.0]]))
    np.testing.assert_array_equal(predicted(method, "A")[0], [[0, 2], [4, 0]])


def test_expression_is_learned_as_it_is(fit):
    """No standardisation: units are those of log1p."""
    assert (fit().mean_ == 0).all()
    assert (fit().deviation_ == 1).all()
    assert not fit().shape_.standardised
    assert fit().shape_.latent == 0


def test_a_gene_without_a_token_is_refused_with_a_reason(fit):
    """It was neither measured nor perturbed in training; each such gene is named."""
    assert fit().unsupported(Perturbation(("NEVER",))) == (
        "no token stands for NEVER, neither measured nor perturbed in training"
    )
    assert fit().unsupported(Perturbation(("A", "NEVER"))) == fit().unsupported(Perturbation(("NEVER",)))
    both = fit().unsupported(Perturbation(("NEVER", "AGAIN")))
    assert "NEVER" in both
    assert "AGAIN" in both
    for label in ("A", "G9", "B+G9"):
        assert fit().unsupported(Perturbation.parse(label)) is None


def test_a_measured_gene_that_was_never_perturbed_is_predicted_through_its_own_token(fit):
    """G9 and G8 have tokens of their own in the role of a perturbation, and their own answers."""
    method = fit()
    assert method.tokens(Perturbation(("G9",))) == [9, method.vocabulary_.control]
    assert method.tokens(Perturbation(("A",)))[0] >= 20
    noise_alike = {}
    for gene in ("G8", "G9"):
        start = method.in_units(cells(["control"], 4).X)
        tokens = method.tokens(Perturbation((gene,)))
        with torch.no_grad():
            encoded = method.flow_.encode(torch.arange(20), torch.tensor([tokens]))
            v_expr, _ = method.flow_(start, start.unsqueeze(-1), encoded, torch.zeros(4))
        noise_alike[gene] = v_expr
    assert not torch.equal(noise_alike["G8"], noise_alike["G9"])
    assert all(np.isfinite(values).all() for values in predicted(method, "G9", "A+G9"))


def test_an_answer_does_not_depend_on_what_else_is_asked(fit):
    alone = predicted(fit(), "A+B")[0]
    np.testing.assert_array_equal(alone, predicted(fit(), "A", "A+B", "G2")[1])
    np.testing.assert_array_equal(alone, predicted(fit(), "A+B", "G1")[0])


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_a_control_cell_can_be_sampled_several_times(noise):
    """The same control cell in two rows gives two different cells, with either noise."""
    control = cells(["control"], 2)
    control.X = control.X[[0, 0]]
    first, second = predicted(fitted(ScDFM, noise=noise), "A", control=control)[0]
    assert not np.array_equal(first, second)


def test_poisson_noise_begins_at_counts_in_training_and_in_prediction():
    """The flow that learned from counts is given counts around the control cells to start from."""
    method = fitted(ScDFM, noise="poisson")
    start = method.in_units(cells(["control"], 10, seed=3).X)
    noise = method.noise(start, generator(4))
    assert torch.equal(noise, counts_around(start, generator(4)))
    assert not same_weights(method.flow_, fitted(ScDFM).flow_)


def test_unknown_noise_is_refused():
    with pytest.raises(BenchmarkError, match="'gaussian' or 'poisson', but 'cauchy'"):
        ScDFM.Config.build(settings={"noise": "cauchy"})


def test_the_same_seed_gives_the_same_cells_and_another_seed_others():
    first, again, other = (predicted(fitted(ScDFM, seed), "A+B")[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_loaded_method_predicts_the_same(fit, tmp_path):
    """Bit for bit, the graph among what is kept."""
    fit().save(tmp_path / "saved")
    loaded = ScDFM.load(tmp_path / "saved")
    assert same_weights(loaded.flow_, fit().flow_)
    for one, other in zip(predicted(fit(), "A", "G9"), predicted(loaded, "A", "G9"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_graph_is_that_of_the_training_cells(fit):
    """Four neighbours of each measured gene, symmetric; tokens that are no genes have themselves alone."""
    mask = fit().flow_.genes.neighbours.mask.numpy()
    expected = np.eye(len(mask), dtype=bool)
    expected[:20, :20] = neighbours(correlation(training_cells().X), 4)
    np.testing.assert_array_equal(mask, expected)
    assert 5 <= expected[:20].sum(1).min() < 20


def test_without_neighbours_there_is_no_graph():
    method = fitted(ScDFM, graph_neighbours=0)
    assert method.flow_.genes.neighbours is None
    assert np.isfinite(predicted(method, "A")[0]).all()


def test_parameter_count_is_that_of_the_fitted_flow(fit):
    """A and B lie outside the panel; in a larger vocabulary they have a place already."""
    method = fit()
    count = ScDFM.parameter_count(method.config, n_genes=20, n_perturbed=4)
    built = sum(part.numel() for part in method.flow_.parameters())
    # A token has an embedding for the flow and one for naming the perturbation.
    assert built == count + 2 * 2 * method.config.width
    large = fitted(ScDFM, vocabulary=50)
    assert large.shape_.n_tokens == 50
    counted = ScDFM.parameter_count(large.config, n_genes=20, n_perturbed=4)
    assert counted == sum(part.numel() for part in large.flow_.parameters())


def test_one_cell_of_a_perturbation_and_no_validation_are_enough():
    """Its batches are copies of one cell, whose distances are all zero."""
    whole = cells(["control", "A", "G1"], 6)
    train = whole[np.r_[0:7, 12:18]].copy()
    method = new(ScDFM).fit(train, validation_cells()[:0].copy())
    assert all(np.isfinite(values).all() for values in predicted(method, "A", "A+G1"))


def test_validation_is_the_error_of_predicted_means(monkeypatch):
    """Mean squared error of each validation perturbation's mean, averaged over perturbations."""
    means = {"A": np.full((5, 20), 1.0, np.float32), "B+G2": np.full((5, 20), 3.0, np.float32)}
    monkeypatch.setattr(
        ScDFM, "sample", lambda self, flow, start, perturbation, options: means[str(perturbation)]
    )
    validation = cells(["A", "B+G2"], 6, seed=2)
    with recorded() as seen:
        new(ScDFM, checks=1).fit(training_cells(), validation)
    dense, labels = validation.X.toarray(), validation.obs["perturbation"].to_numpy()
    errors = [
        np.square(values.mean(0) - dense[labels == label].mean(0)).mean() for label, values in means.items()
    ]
    assert seen.all("train flow", "validation") == pytest.approx([np.mean(errors)], rel=1e-5)


def test_progress_reports_velocity_and_discrepancy():
    with recorded() as seen:
        fitted(ScDFM, steps=12)
    assert seen.totals == seen.done == {"train flow": 12}
    reported = {name for values in seen.values["train flow"] for name in values}
    assert reported >= {"loss", "mmd", "expr_r2", "validation"}


@pytest.mark.slow
def test_a_fit_that_was_interrupted_goes_on_where_it_was():
    """With dropout on, to the same weights."""
    expected = fitted(ScDFM, steps=30, dropout=0.2)
    with pytest.raises(KeyboardInterrupt), recorded(stop=("train flow", 17)):
        fitted(ScDFM, steps=30, dropout=0.2, checkpoint_steps=5)
    with recorded() as seen:
        resumed = fitted(ScDFM, steps=30, dropout=0.2, checkpoint_steps=5)
    assert len(seen.all("train flow", "loss")) == 15
    assert same_weights(resumed.flow_, expected.flow_)


def test_small_is_the_default_and_paper_the_published_size():
    assert ScDFM.Config.build("small") == ScDFM.Config()
    paper = ScDFM.Config.build("paper")
    sizes = (paper.width, paper.heads, paper.layers, paper.steps, paper.batch_size, paper.genes_per_step)
    assert sizes == (512, 8, 4, 100_000, 96, 1000)
    assert (paper.vocabulary, paper.average, paper.weight_decay) == (6000, 0, 0)
    assert (paper.dropout, paper.learning_rate, paper.warmup, paper.beta2) == (0.1, 5e-5, 0, 0.999)
    assert (paper.perturbations_per_step, paper.mmd_weight, paper.time_scale) == (1, 0.5, 1)


def test_more_perturbations_a_step_than_cells_allow_are_refused():
    """Each needs four cells, or its discrepancy is biased."""
    assert ScDFM.Config.build(settings={"batch_size": 16, "perturbations_per_step": 4})
    with pytest.raises(BenchmarkError) as refused:
        ScDFM.Config.build(settings={"batch_size": 19, "perturbations_per_step": 5})
    assert str(refused.value) == (
        "Hyper-parameter 'perturbations_per_step' should be 4 or less, so that each perturbation has 4 or "
        "more of the 19 cells of batch_size, but 5 was given; choose another value."
    )
    with pytest.raises(BenchmarkError, match="'batch_size' should be greater than or equal to 4, but 3"):
        ScDFM.Config.build(settings={"batch_size": 3, "perturbations_per_step": 1})


def test_more_perturbations_a_step_than_the_training_set_has_are_refused():
    """In one line, before anything is trained; with as many as there are it is trained."""
    with pytest.raises(BenchmarkError) as refused:
        fitted(ScDFM, batch_size=28, perturbations_per_step=7)
    assert str(refused.value) == (
        "Hyper-parameter 'perturbations_per_step' of 'scdfm' is 7, more than the 6 perturbations of the "
        "training set; choose 6 or less."
    )
    assert fitted(ScDFM, batch_size=24, perturbations_per_step=6, steps=2).flow_ is not None
