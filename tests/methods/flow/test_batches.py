"""What flows learn from: paths, times, batches and their losses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods._flow.cascade import Times, cascade_losses, cascaded_times, independent_times
from methods._flow.paths import at_time, counts_around, linear_velocity, velocity
from methods._flow.pool import CellPool, random_genes
from tests.methods.flow.flow_case import (
    BATCHES,
    CONTROL,
    GENES,
    UNKNOWN,
    generator,
    objective,
    pool,
    record,
)

CPU = torch.device("cpu")


def test_path_runs_from_noise_to_data_at_constant_velocity():
    """At 0 it is the noise, at 1 the data, and its derivative is data - noise."""
    noise, data = torch.randn(2, 3, 4, generator=generator())
    torch.testing.assert_close(at_time(noise, data, torch.zeros(3)), noise)
    torch.testing.assert_close(at_time(noise, data, torch.ones(3)), data)
    step = at_time(noise, data, torch.full((3,), 0.6)) - at_time(noise, data, torch.full((3,), 0.5))
    torch.testing.assert_close(step / 0.1, velocity(noise, data), atol=1e-5, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.floats(-2, 2), st.floats(0.3, 3))
def test_linear_velocity_is_the_regression_on_normal_data(time, mean, deviation):
    """It is the least-squares line of data - noise on the path's point."""
    noise, data = torch.randn(2, 20_000, 1, generator=generator())
    data = mean + deviation * data
    point = at_time(noise, data, torch.full((20_000,), time))
    design = torch.cat([point, torch.ones(20_000, 1)], dim=1)
    slope, height = torch.linalg.lstsq(design, velocity(noise, data)).solution.flatten().tolist()
    asked = torch.tensor([[-1.0], [0.0], [1.0]])
    guess = linear_velocity(asked, torch.full((3,), time), mean, torch.tensor(deviation))
    for value, said in zip((-1, 0, 1), guess.flatten().tolist(), strict=True):
        assert said == pytest.approx(height + slope * value, abs=0.07 * max(1, deviation))


def test_linear_velocity_carries_noise_to_the_mean_and_spread_of_the_data():
    """Integrated in small steps: standard normal noise becomes N(m, s^2), point by point."""
    mean, deviation, noise = 1.5, 0.4, torch.tensor([[-2.0], [0.0], [1.0]])
    point, steps = noise.clone(), 4000
    for step in range(steps):
        times = torch.full((3,), (step + 0.5) / steps)
        point = point + linear_velocity(point, times, mean, torch.tensor(deviation)) / steps
    torch.testing.assert_close(point, mean + deviation * noise, atol=2e-3, rtol=0)


def test_counts_around_keep_the_mean_rate_and_spread_more_than_poisson():
    """Of rate 4 the counts have mean 4 and variance 4 + 16 (exp(0.25) - 1); of rate 0 there are none."""
    counts = counts_around(torch.full((200_000,), math.log(5.0)), generator()).expm1()
    assert counts.mean() == pytest.approx(4, abs=0.03)
    assert counts.var() == pytest.approx(4 + 16 * math.expm1(0.25), rel=0.03)
    assert counts_around(torch.zeros(50), generator()).max() == 0


def test_coin_and_times_follow_the_cascade():
    """Four cells in ten train the latent, at t_expr = 0; the others have t_latent in [0.75, 1]."""
    t_expr, t_latent, expression, latent = cascaded_times(40_000, BATCHES, generator())
    assert torch.equal(expression, ~latent)
    assert latent.float().mean() == pytest.approx(0.4, abs=0.01)
    assert (t_expr[latent] == 0).all()
    assert t_latent[expression].min() >= 0.75
    assert t_latent.max() <= 1
    for uniform in (t_latent[latent], t_expr[expression], (t_latent[expression] - 0.75) / 0.25):
        assert uniform.mean() == pytest.approx(0.5, abs=0.01)
        assert uniform.var() == pytest.approx(1 / 12, abs=0.003)


def test_independent_times_are_uniform_uncorrelated_and_train_both_streams():
    """Every pair of times in the unit square is as likely as any other, and every cell counts twice."""
    t_expr, t_latent, expression, latent = independent_times(40_000, BATCHES, generator())
    assert expression.all()
    assert latent.all()
    shares = torch.histogramdd(torch.stack([t_expr, t_latent], 1), [4, 4], range=[0.0, 1.0, 0.0, 1.0]).hist
    torch.testing.assert_close(shares / 40_000, torch.full((4, 4), 1 / 16), atol=0.005, rtol=0)
    assert abs(float(torch.corrcoef(torch.stack([t_expr, t_latent]))[0, 1])) < 0.02


def test_losses_by_hand():
    """One cell of each kind: its own error counts, and R^2 compares it with guessing zero."""
    v_expr, v_latent = torch.tensor([[9.0, 9.0], [1.0, 1.0]]), torch.tensor([[[2.0]], [[9.0]]])
    target_expr, target_latent = torch.tensor([[0.0, 0.0], [2.0, 2.0]]), torch.tensor([[[4.0]], [[0.0]]])
    coin = torch.tensor([False, True])
    losses = cascade_losses(v_expr, v_latent, target_expr, target_latent, Times(coin, coin, coin, ~coin))
    assert losses["loss"] == (4 + 1) / 2
    assert losses["latent_r2"] == 1 - 4 / 16
    assert losses["expr_r2"] == 1 - 1 / 4


def test_losses_of_both_streams_by_hand():
    """Where every cell trains both, four errors are averaged and both R^2 take all cells."""
    v_expr, v_latent = torch.zeros(2, 1), torch.zeros(2, 1, 2)
    target_expr = torch.tensor([[1.0], [3.0]])
    target_latent = torch.tensor([[[2.0, 0.0]], [[0.0, 4.0]]])
    both = torch.ones(2, dtype=torch.bool)
    losses = cascade_losses(v_expr + 1, v_latent, target_expr, target_latent, Times(both, both, both, both))
    assert losses["loss"] == (0 + 4 + 2 + 8) / 4
    assert losses["expr_r2"] == pytest.approx(1 - 4 / 10)
    assert losses["latent_r2"] == 0


def test_loss_without_cells_of_a_stream_is_finite_and_its_r2_is_no_number():
    both = torch.ones(3, dtype=torch.bool)
    losses = cascade_losses(
        torch.ones(3, 2),
        torch.ones(3, 2, 1),
        torch.zeros(3, 2),
        torch.zeros(3, 2, 1),
        Times(both, both, both, ~both),
    )
    assert losses["loss"] == 1
    assert losses["latent_r2"].isnan()


def marked_pool() -> CellPool:
    """Cells of 2 and of 3 whose values tell row and gene, and latents that tell perturbation and number."""
    rows, columns = torch.arange(5).view(5, 1), torch.arange(GENES) / 10
    latent = 100 * torch.arange(2).view(2, 1, 1, 1) + torch.arange(3).view(1, 3, 1, 1)
    return CellPool(
        control=50 + rows + columns,
        perturbed=rows + columns,
        partner=torch.tensor([4, 3, 2, 1, 0]),
        size=torch.tensor([2, 3]),
        tokens=torch.tensor([[0, CONTROL], [1, 5]]),
        latent=(latent + columns.view(1, 1, GENES, 1)).half().expand(2, 3, GENES, 2),
        told=torch.tensor([[[7.0, 70.0]], [[8.0, 80.0]]]).expand(2, GENES, 2),
    )


def at_the_end(cells, options, generator):
    """Times at which points of the paths are the data."""
    ones = torch.ones(cells)
    return Times(ones, ones, ones.bool(), ones.bool())


def test_the_latent_is_that_of_another_cell_of_the_same_perturbation():
    """Every cell meets every latent of its perturbation, its own or not, and none of another."""
    flow, _ = record(objective(at_the_end, marked_pool()))
    found = set(
        zip(flow.all("x_t")[:, 0].int().tolist(), flow.all("z_t")[:, 0, 0].int().tolist(), strict=True)
    )
    first = {(cell, latent) for cell in (0, 1) for latent in (0, 1, 2)}
    second = {(cell, latent) for cell in (2, 3, 4) for latent in (100, 101, 102)}
    assert found == first | second


def test_a_cell_comes_with_its_partner_its_tokens_and_what_is_told():
    flow, _ = record(objective(at_the_end, marked_pool(), token_dropout=0.0))
    cells, told, tokens = flow.all("x_t").int(), flow.all("x_ctrl"), flow.all("tokens")
    for cell, (control, *known), pair in zip(cells[:, 0], told[:, 0].tolist(), tokens, strict=True):
        assert int(control) == 54 - cell
        assert known == ([7, 70] if cell < 2 else [8, 80])
        assert pair.tolist() == ([0, CONTROL] if cell < 2 else [1, 5])


def test_all_tensors_of_a_batch_are_of_the_same_genes():
    """A random subset is drawn for each step, and every gene is drawn."""
    flow, _ = record(objective(at_the_end, marked_pool(), genes_per_step=3))
    for call in flow.calls:
        genes = call["genes"]
        assert len(set(genes.tolist())) == 3
        for values in (call["x_t"], call["x_ctrl"][..., 0], call["z_t"][..., 0]):
            torch.testing.assert_close(
                10 * values.remainder(1), genes.float().expand_as(values), atol=0.5, rtol=0
            )
    assert flow.all("genes").unique().tolist() == list(range(GENES))


def test_perturbations_are_drawn_alike_whatever_their_number_of_cells():
    """With 4 and 8 cells, each perturbation is half of a batch, and each cell its share of that."""
    cells = pool()
    kinds = cells.draw_perturbations(40_000, generator())
    assert kinds.float().mean() == pytest.approx(0.5, abs=0.01)
    rows = cells.draw_cells(kinds, generator(1))
    assert torch.equal(rows >= 4, kinds == 1)
    shares = rows.bincount(minlength=12) / 40_000
    expected = torch.tensor([1 / 8] * 4 + [1 / 16] * 8)
    torch.testing.assert_close(shares, expected, atol=0.006, rtol=0)


def test_genes_are_drawn_once_each_and_all_where_there_are_not_so_many():
    assert sorted(random_genes(5, 9, generator()).tolist()) == [0, 1, 2, 3, 4]
    assert len(set(random_genes(100, 9, generator()).tolist())) == 9


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_hidden_tokens_are_perturbed_genes_only(share):
    """`control` stays; of the genes, the share that is asked for becomes unknown."""
    flow, _ = record(objective(token_dropout=share))
    tokens = flow.all("tokens")
    single = tokens[:, 1] == CONTROL
    assert set(tokens[single, 0].tolist()) <= {0, UNKNOWN}
    assert set(tokens[~single].flatten().tolist()) <= {1, 5, UNKNOWN}
    genes = torch.cat([tokens[single, 0], tokens[~single].flatten()])
    assert (genes == UNKNOWN).float().mean() == pytest.approx(share, abs=0.03)


def test_spread_is_around_the_mean_of_each_perturbation():
    """Rows 0 and 1 lie 1/2 from their mean, rows 2, 3 and 4 by 1, 0 and 1: the mean of 1/4 and 2/3."""
    expected = torch.full((GENES,), (0.5 * (1 / 4 + 2 / 3)) ** 0.5)
    torch.testing.assert_close(marked_pool().spread(), expected)


def test_noise_of_both_streams_is_standard_normal():
    """At time 0 points of the paths are noise."""

    def at_the_start(cells, options, generator):
        ones = torch.ones(cells, dtype=torch.bool)
        return Times(torch.zeros(cells), torch.zeros(cells), ones, ones)

    flow, _ = record(objective(at_the_start, marked_pool()), steps=400)
    for noise in (flow.all("x_t"), flow.all("z_t")):
        assert noise.mean() == pytest.approx(0, abs=0.03)
        assert noise.std() == pytest.approx(1, abs=0.03)
