"""What scDFM learns from a batch: one perturbation at a time, its velocity and a discrepancy, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from methods._flow.paths import counts_around
from methods._flow.pool import CellPool
from methods._flow.unpaired import UnpairedObjective, UnpairedOptions, start_noise
from tests.methods.flow.flow_case import GENES, generator, pool, record

OPTIONS = UnpairedOptions(
    batch_size=6, genes_per_step=4, context_genes=3, mmd_weight=0.5, noise="gaussian", precision="float32"
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
