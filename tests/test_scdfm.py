"""scDFM as a method: what it learns from a batch, and what it predicts, refuses and keeps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._flow.graph import correlation, neighbours
from methods._flow.paths import counts_around
from methods._flow.pool import CellPool
from methods._flow.unpaired import UnpairedObjective, UnpairedOptions, start_noise
from methods.scdfm import ScDFM
from tests.flow_case import GENES, generator, pool, record, same_weights
from tests.grnflow_case import cells, fitted, new, predicted, recorded, training_cells, validation_cells

OPTIONS = UnpairedOptions(
    batch_size=6, genes_per_step=4, context_genes=3, mmd_weight=0.5, noise="gaussian", precision="float32"
)


@pytest.fixture
def fit(tmp_path_factory, monkeypatch):
    """A flow fitted once for the tests that only ask it."""
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path_factory.getbasetemp() / "scdfm"))
    return fit_once


@cache
def fit_once() -> ScDFM:
    return fitted(ScDFM)


def marked_pool() -> CellPool:
    """Cells whose integer part is their row, and whose first decimal is the gene."""
    columns = torch.arange(GENES) / 10
    return CellPool(
        control=100 + torch.arange(7).view(7, 1) + columns,
        perturbed=torch.arange(5).view(5, 1) + columns,
        partner=torch.zeros(5, dtype=torch.long),
        size=torch.tensor([2, 3]),
        tokens=torch.tensor([[0, 6], [1, 5]]),
    )


def batch(options: UnpairedOptions, cells: CellPool, seed: int):
    """One batch as a flow sees it, its losses, and the cells that it is about."""
    flow, (losses,) = record(UnpairedObjective(cells, options), steps=1, seed=seed)
    (call,) = flow.calls
    return call, losses


def test_a_step_takes_one_perturbation_and_any_controls():
    """All cells of a batch share their tokens; controls are drawn whatever cell they stand beside."""
    kinds, controls = set(), set()
    for seed in range(60):
        call, _ = batch(OPTIONS, marked_pool(), seed)
        assert call["tokens"].shape == (1, 2)
        assert call["z_t"] is None
        assert call["t_latent"] is None
        kinds.add(tuple(call["tokens"][0].tolist()))
        controls |= set(call["x_ctrl"][..., 0].int().flatten().tolist())
        assert len(call["genes"].unique()) == 4
        assert len(call["context"].unique()) == 3
    assert kinds == {(0, 6), (1, 5)}
    assert controls == set(range(100, 107))


def kernel_by_hand(one: np.ndarray, other: np.ndarray, median: float) -> float:
    """Mean of four Gaussian kernels of two cells."""
    distance = np.square(one - other).sum()
    return float(np.mean([np.exp(-distance / (2 * factor * median)) for factor in (0.5, 1, 2, 4)]))


def mmd_by_hand(sample: np.ndarray, target: np.ndarray) -> float:
    """Unbiased squared MMD from its sums over pairs of cells."""
    apart = [(i, j) for i in range(len(target)) for j in range(len(target)) if i != j]
    distances = sorted(np.square(target[i] - target[j]).sum() for i, j in apart)
    median = distances[(len(distances) - 1) // 2]
    within = [kernel_by_hand(sample[i], sample[j], median) for i, j in apart]
    real = [kernel_by_hand(target[i], target[j], median) for i, j in apart]
    across = [kernel_by_hand(a, b, median) for a in sample for b in target]
    return float(np.mean(within) + np.mean(real) - 2 * np.mean(across))


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_losses_by_hand(weight):
    """A flow that answers zero: the mean square of data - noise, and the MMD of where it stands already."""
    random = pool()
    options = replace(OPTIONS, mmd_weight=weight, genes_per_step=GENES)
    call, losses = batch(options, random, seed=2)
    # The same draws again, in the order in which the objective makes them.
    draws = generator(2)
    kinds = random.draw_perturbations(1, draws).expand(6)
    x1 = random.perturbed[random.draw_cells(kinds, draws)]
    torch.randint(len(random.control), (6,), generator=draws)
    x1 = x1[:, torch.randperm(GENES, generator=draws)]
    x0 = torch.randn(6, GENES, generator=draws)
    error, discrepancy = (x1 - x0).square().mean(), mmd_by_hand(call["x_t"].numpy(), x1.numpy())
    times = call["t_expr"].view(6, 1)
    torch.testing.assert_close(call["x_t"], (1 - times) * x0 + times * x1)
    assert losses["mmd"].item() == pytest.approx(discrepancy, abs=1e-5)
    assert losses["loss"].item() == pytest.approx(error.item() + weight * discrepancy, abs=1e-5)
    assert losses["expr_r2"].item() == pytest.approx(0, abs=1e-6)


def test_a_flow_that_knows_the_velocity_has_r2_1_and_ends_where_the_cells_are():
    """Its one-step ends are the cells themselves, so that the MMD compares a set with itself."""
    random = pool()

    class Knows:
        def encode(self, genes, tokens):
            return None

        def __call__(self, x_t, x_ctrl, encoded, t_expr, context):
            return (self.x1 - x_t) / (1 - t_expr).unsqueeze(1), None

    flow, learns = Knows(), UnpairedObjective(random, replace(OPTIONS, genes_per_step=GENES))
    draws = generator(5)
    kinds = random.draw_perturbations(1, draws).expand(6)
    x1 = random.perturbed[random.draw_cells(kinds, draws)]
    torch.randint(len(random.control), (6,), generator=draws)
    flow.x1 = x1[:, torch.randperm(GENES, generator=draws)]
    losses = learns.losses(flow, generator(5), torch.device("cpu"))
    assert losses["expr_r2"].item() == pytest.approx(1, abs=1e-5)
    assert losses["mmd"].item() == pytest.approx(mmd_by_hand(flow.x1.numpy(), flow.x1.numpy()), abs=1e-5)


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
def test_paths_begin_at_the_noise_that_is_asked_for(kind):
    """Standard normal, or counts around the control cells of the batch."""
    control = torch.rand(500, 4, generator=generator(1)) * 2
    noise = start_noise(kind, control, generator(2))
    if kind == "gaussian":
        assert torch.equal(noise, torch.randn(500, 4, generator=generator(2)))
    else:
        assert torch.equal(noise, counts_around(control, generator(2)))
        assert noise.min() == 0
        torch.testing.assert_close(noise.expm1().round(), noise.expm1(), atol=1e-4, rtol=0)


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
    monkeypatch.setattr(
        ScDFM, "out_of_units", lambda self, cells, perturbation: torch.tensor([[-1.0, 2.0], [4.0, -3.0]])
    )
    np.testing.assert_array_equal(predicted(fit(), "A")[0], [[0, 2], [4, 0]])


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


def gradient(cells: CellPool, mmd_weight: float) -> torch.Tensor:
    """Of the loss of a flow that scales each gene, with respect to the scales."""
    weight = torch.zeros(GENES, requires_grad=True)

    class Scales:
        def encode(self, genes, tokens):
            return genes

        def __call__(self, x_t, x_ctrl, encoded, t_expr, context):
            return x_t * weight[encoded], None

    learns = UnpairedObjective(cells, replace(OPTIONS, mmd_weight=mmd_weight))
    losses = learns.losses(Scales(), generator(), torch.device("cpu"))
    assert losses["loss"].isfinite()
    losses["loss"].backward()
    return weight.grad


def test_the_mmd_moves_the_flow():
    """Its gradient is added to that of the velocity, in proportion to its weight."""
    none, half, whole = (gradient(pool(), weight) for weight in (0.0, 0.5, 1.0))
    assert (whole - none).abs().max() > 1e-3
    torch.testing.assert_close(half - none, (whole - none) / 2, atol=1e-5, rtol=1e-4)


def test_a_batch_of_equal_cells_has_a_finite_gradient():
    single = CellPool(
        control=torch.rand(3, GENES, generator=generator()),
        perturbed=torch.ones(1, GENES),
        partner=torch.zeros(1, dtype=torch.long),
        size=torch.tensor([1]),
        tokens=torch.tensor([[0, 6]]),
    )
    assert gradient(single, 1.0).isfinite().all()


def test_progress_reports_velocity_and_discrepancy():
    with recorded() as seen:
        fitted(ScDFM)
    assert seen.totals == seen.done == {"train flow": 30}
    reported = {name for values in seen.values["train flow"] for name in values}
    assert reported >= {"loss", "mmd", "expr_r2", "validation"}


def test_a_fit_that_was_interrupted_goes_on_where_it_was():
    """With dropout on, as by default, to the same weights."""
    expected = fitted(ScDFM)
    assert expected.config.dropout > 0
    with pytest.raises(KeyboardInterrupt), recorded(stop=("train flow", 17)):
        fitted(ScDFM, checkpoint_steps=5)
    with recorded() as seen:
        resumed = fitted(ScDFM, checkpoint_steps=5)
    assert len(seen.all("train flow", "loss")) == 15
    assert same_weights(resumed.flow_, expected.flow_)


def test_small_is_the_default_and_paper_the_published_size():
    assert ScDFM.Config.build("small") == ScDFM.Config()
    paper = ScDFM.Config.build("paper")
    sizes = (paper.width, paper.heads, paper.layers, paper.steps, paper.batch_size, paper.genes_per_step)
    assert sizes == (512, 8, 4, 100_000, 96, 1000)
    assert (paper.vocabulary, paper.average, paper.weight_decay) == (6000, 0, 0)
