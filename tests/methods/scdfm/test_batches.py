"""What scDFM learns from a batch: some perturbations, their velocities and discrepancies, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from methods._flow.mmd import mmd
from methods._flow.paths import counts_around
from methods._flow.pool import CellPool
from methods._flow.unpaired import UnpairedObjective, UnpairedOptions, start_noise
from tests.methods.flow.flow_case import GENES, RecordingFlow, generator, pool, record

OPTIONS = UnpairedOptions(
    batch_size=6,
    genes_per_step=4,
    context_genes=3,
    perturbations_per_step=1,
    mmd_weight=0.5,
    noise="gaussian",
    precision="float32",
)


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
    """As published: all cells of a batch share their tokens; controls have nothing to do with them."""
    kinds, controls = set(), set()
    for seed in range(60):
        call, _ = batch(OPTIONS, marked_pool(), seed)
        assert call["tokens"].shape == (6, 2)
        assert len(call["tokens"].unique(dim=0)) == 1
        assert call["z_t"] is None
        assert call["t_latent"] is None
        kinds.add(tuple(call["tokens"][0].tolist()))
        controls |= set(call["x_ctrl"][..., 0].int().flatten().tolist())
        assert len(call["genes"].unique()) == 4
        assert len(call["context"].unique()) == 3
    assert kinds == {(0, 6), (1, 5)}
    assert controls == set(range(100, 107))


def three_kinds() -> CellPool:
    """Cells 0 and 1 of one perturbation, 10 to 13 of another, 20 to 24 of a third."""
    columns = torch.arange(GENES) / 10
    rows = torch.tensor([0, 1, 10, 11, 12, 13, 20, 21, 22, 23, 24])
    return CellPool(
        control=100 + torch.arange(7).view(7, 1) + columns,
        perturbed=rows.view(-1, 1) + columns,
        size=torch.tensor([2, 4, 5]),
        tokens=torch.tensor([[0, 6], [1, 5], [2, 6]]),
    )


@pytest.mark.parametrize(("batch_size", "several", "each"), [(8, 2, 4), (12, 3, 4), (11, 2, 5), (5, 1, 5)])
def test_a_step_has_different_perturbations_with_as_many_cells_of_each(batch_size, several, each):
    """Of 11 cells two perturbations have five; they stand together, with the tokens that are theirs."""
    options = replace(OPTIONS, batch_size=batch_size, perturbations_per_step=several, genes_per_step=GENES)
    learns, draws, seen = UnpairedObjective(three_kinds(), options), generator(0), set()
    for _ in range(40):
        step = learns.draw(draws)
        assert step.x0.shape == step.x1.shape == (several * each, GENES)
        assert step.x_ctrl.shape == (several * each, GENES, 1)
        assert step.times.shape == (several * each,)
        kinds = [int(cell.min()) // 10 for cell in step.x1]
        firsts = kinds[::each]
        assert kinds == [kind for kind in firsts for _ in range(each)]
        assert len(set(firsts)) == several
        assert step.tokens.tolist() == [[[0, 6], [1, 5], [2, 6]][kind] for kind in kinds]
        seen |= {int(cell.min()) for cell in step.x1}
    assert seen == {0, 1, 10, 11, 12, 13, 20, 21, 22, 23, 24}


def test_every_perturbation_is_drawn_as_often_whatever_its_number_of_cells():
    learns = UnpairedObjective(three_kinds(), replace(OPTIONS, batch_size=8, perturbations_per_step=2))
    draws = generator(1)
    tokens = torch.cat([learns.draw(draws).tokens[::4, 0] for _ in range(900)])
    assert (tokens.bincount() / 1800 - 1 / 3).abs().max() < 0.03


def test_the_discrepancy_of_each_perturbation_is_its_own():
    """Their mean is what counts, and not the MMD of the whole batch."""
    options = replace(OPTIONS, batch_size=12, perturbations_per_step=3, genes_per_step=GENES)
    spread = torch.tensor([1.0, 5.0, 0.2]).repeat_interleave(20).view(-1, 1)
    cells = torch.randn(60, GENES, generator=generator(8)) * spread
    learns = UnpairedObjective(replace(three_kinds(), perturbed=cells, size=torch.full((3,), 20)), options)
    step = learns.draw(generator(3))
    losses = learns.losses(RecordingFlow(), step, torch.device("cpu"))
    times = step.times.view(-1, 1)
    ends = ((1 - times) * step.x0 + times * step.x1).numpy()  # a flow that answers zero stays where it is
    groups = [slice(0, 4), slice(4, 8), slice(8, 12)]
    expected = np.mean([mmd_by_hand(ends[group], step.x1[group].numpy()) for group in groups])
    assert losses["mmd"].item() == pytest.approx(expected, abs=1e-5)
    error = (step.x1 - step.x0).square().mean().item()
    assert losses["loss"].item() == pytest.approx(error + 0.5 * expected, rel=1e-5)
    assert abs(mmd_by_hand(ends, step.x1.numpy()) - expected) > 0.01


def test_mmd_of_several_pairs_is_that_of_each():
    """By hand for two pairs of different spread: each has the bandwidths of its own targets."""
    sample = torch.tensor([[[0.0], [1.0]], [[0.0], [10.0]]])
    target = torch.tensor([[[0.0], [2.0]], [[5.0], [35.0]]])
    # Squared distances of the pairs, of targets 4 and 900 (the medians), of samples 1 and 100.
    across = [[0.0, 4.0, 1.0, 1.0], [25.0, 35.0**2, 25.0, 25.0**2]]
    for group, (own, real) in enumerate([(1.0, 4.0), (100.0, 900.0)]):

        def kernel(square, real=real):
            return np.mean([np.exp(-square / (2 * width * real)) for width in (0.5, 1, 2, 4)])

        expected = kernel(own) + kernel(real) - 2 * np.mean([kernel(square) for square in across[group]])
        assert mmd(sample, target)[group].item() == pytest.approx(expected, abs=1e-6)
        assert mmd(sample[group], target[group]).item() == pytest.approx(expected, abs=1e-6)


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
    kinds = torch.randperm(2, generator=draws)[:1].expand(6)
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
    kinds = torch.randperm(2, generator=draws)[:1].expand(6)
    x1 = random.perturbed[random.draw_cells(kinds, draws)]
    torch.randint(len(random.control), (6,), generator=draws)
    flow.x1 = x1[:, torch.randperm(GENES, generator=draws)]
    losses = learns.losses(flow, learns.draw(generator(5)), torch.device("cpu"))
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


def gradient(cells: CellPool, mmd_weight: float) -> torch.Tensor:
    """Of the loss of a flow that scales each gene, with respect to the scales."""
    weight = torch.zeros(GENES, requires_grad=True)

    class Scales:
        def encode(self, genes, tokens):
            return genes

        def __call__(self, x_t, x_ctrl, encoded, t_expr, context):
            return x_t * weight[encoded], None

    learns = UnpairedObjective(cells, replace(OPTIONS, mmd_weight=mmd_weight))
    losses = learns.losses(Scales(), learns.draw(generator()), torch.device("cpu"))
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
