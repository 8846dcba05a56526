"""How flows are trained: seeds, schedule, clipping, averages, selection and precision."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn import functional

import methods._flow.precision as precision
from methods._flow.backbone import build_flow
from methods._flow.precision import autocast, bfloat16_is_fast
from methods._flow.schedule import checks_due, learning_rate_factor
from methods._flow.training import update_average
from tests.methods.flow.flow_case import (
    OPTIONS,
    SHAPE,
    finished,
    generator,
    objective,
    pool,
    same_weights,
    training,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(("probability", "silent"), [(1.0, "expression_head"), (0.0, "latent_head")])
def test_the_other_head_gets_no_gradient(probability, silent):
    """Where all cells train one flow, the head of the other is not moved, and its R^2 is not reported."""
    run = training(learns=objective(latent_probability=probability), weight_decay=0.0)
    before = copy.deepcopy(run.flow)
    for _, losses in run:
        assert ("expr_r2" in losses, "latent_r2" in losses) == (probability == 0, probability == 1)
    heads = {"expression_head", "latent_head"}
    moved = {head for head in heads if not same_weights(getattr(run.flow, head), getattr(before, head))}
    assert moved == heads - {silent}


def test_training_learns_a_shift():
    """Expression shifted by 3 deviations is found, and the loss falls."""
    learns = objective(cells=pool(shift=3.0), latent_probability=0.2, batch_size=16)
    losses = [values["loss"] for _, values in training(learns=learns, steps=150)]
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_training_repeats_itself_and_leaves_the_global_state_alone():
    """Same seed, same weights with dropout on; another seed, others; torch's global state does not move."""
    before = torch.get_rng_state()
    one, same, other = (finished(seed=seed) for seed in (4, 4, 5))
    assert same_weights(one.result, same.result)
    assert not same_weights(one.result, other.result)
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_is_on_in_training_and_follows_the_seed():
    """Each step drops other values, and the same seed drops the same ones."""

    def dropped(seed: int) -> list[tuple]:
        class Watches:
            def draw(self, generator):
                return None

            def losses(self, flow, batch, device):
                assert flow.training
                seen.append(tuple(functional.dropout(torch.ones(64), 0.5).tolist()))
                return {"loss": flow.fusion.first.bias.sum()}

        seen: list[tuple] = []
        finished(learns=Watches(), seed=seed)
        return seen

    assert len(set(dropped(0))) == 12
    assert dropped(0) == dropped(0)
    assert not set(dropped(0)) & set(dropped(1))


def test_the_result_has_no_gradients_and_evaluates():
    result = finished().result
    assert not result.training
    assert not any(weight.requires_grad for weight in result.parameters())


def test_schedule_by_hand():
    """A rise over 3 of 12 steps, then a cosine: half way at step 7.5, and the final rate at the end."""
    factor = learning_rate_factor(OPTIONS)
    assert [factor(step) for step in (0, 1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert factor(6) == pytest.approx(0.1 + 0.9 * 0.75)
    assert factor(9) == pytest.approx(0.1 + 0.9 * 0.25)
    assert factor(12) == factor(13) == pytest.approx(0.1)


@pytest.mark.parametrize("warmup", [0.0, 0.25, 1.0])
def test_rates_of_a_training_are_those_of_the_schedule(warmup):
    """The rates that steps are taken with; afterwards the final one is reached, if the rise ever ends."""
    run = training(warmup=warmup)
    factor, rates = learning_rate_factor(run.options), [run.optimiser.param_groups[0]["lr"]]
    rates += [run.optimiser.param_groups[0]["lr"] for _ in run]
    assert rates == pytest.approx([1e-2 * factor(step) for step in range(13)])
    assert rates[-1] == pytest.approx(1e-2 if warmup == 1 else 1e-3)


@pytest.mark.parametrize(("limit", "clipped"), [(0.01, True), (0.0, False)])
def test_gradients_are_clipped_where_a_norm_is_given(limit, clipped):
    run = training(gradient_norm=limit)
    for _ in run:
        squares = sum(
            weight.grad.square().sum() for weight in run.flow.parameters() if weight.grad is not None
        )
        assert (float(squares) ** 0.5 <= limit * 1.0001) == clipped


def test_average_moves_by_one_minus_decay():
    """After one update with decay 0.75, the average is a quarter of the way."""
    average, flow = build_flow(SHAPE, 0), build_flow(SHAPE, 1)
    expected = torch.lerp(average.genes.embedding.weight, flow.genes.embedding.weight, 0.25).detach()
    update_average(average, flow, 0.75)
    torch.testing.assert_close(average.genes.embedding.weight, expected)


def test_young_averages_forget_faster():
    """With decay 0.999 two steps average with decays 1/11 and 2/12, so that little of the start is kept."""
    run = training(average=0.999, steps=2)
    expected = run.flow.genes.embedding.weight.detach().clone()
    for step, _ in run:
        expected = torch.lerp(run.flow.genes.embedding.weight.detach(), expected, step / (step + 10))
    torch.testing.assert_close(run.result.genes.embedding.weight, expected)


def test_without_an_average_the_last_weights_are_kept():
    run = finished(average=0.0)
    assert same_weights(run.result, run.flow)


def test_checks_are_evenly_spaced_and_end_with_the_last_step():
    assert checks_due(OPTIONS) == {3, 6, 9, 12}
    assert checks_due(training(checks=0).options) == set()


class Scores:
    """Scores flows as it is told, and keeps their weights."""

    def __init__(self, *scores: float) -> None:
        self.scores, self.seen = list(scores), []

    def __call__(self, flow):
        self.seen.append(copy.deepcopy(flow))
        return self.scores[len(self.seen) - 1]


def test_the_best_weights_on_validation_are_kept():
    """Of four checks scored 3, 1, 1 and 2, the first best one's averaged weights are the result."""
    scores = Scores(3.0, 1.0, 1.0, 2.0)
    run = training(validate=scores)
    reported = {step: values["validation"] for step, values in run if "validation" in values}
    assert reported == {3: 3.0, 6: 1.0, 9: 1.0, 12: 2.0}
    assert same_weights(run.result, scores.seen[1])
    assert not same_weights(run.result, scores.seen[2])


def test_scores_that_are_no_numbers_are_never_the_best():
    scores = Scores(math.nan, 2.0, math.nan, math.nan)
    assert same_weights(finished(validate=scores).result, scores.seen[1])
    last = Scores(*[math.nan] * 4)
    assert same_weights(finished(validate=last).result, last.seen[-1])


@pytest.mark.parametrize(("patience", "steps"), [(0, 12), (1, 9), (2, 12), (3, 12)])
def test_training_ends_early_after_checks_without_gain(patience, steps):
    """Scored 5, 4, 4, 3: one check in vain ends it at step 9 if patience is 1."""
    scores = Scores(5.0, 4.0, 4.0, 3.0)
    run = finished(validate=scores, patience=patience)
    assert run.step == steps
    assert same_weights(run.result, scores.seen[1 if patience == 1 else 3])


def test_patience_counts_checks_in_a_row():
    """Scored 5, 6, 4, 5, 3, 4: two are in vain before the last, but never two in a row."""
    run = finished(validate=Scores(5.0, 6.0, 4.0, 5.0, 3.0, 4.0), checks=6, patience=2)
    assert run.step == 12


@pytest.mark.parametrize(
    ("flags", "fast"),
    [
        ("flags : avx2 avx512_bf16", True),
        ("flags : amx_bf16", True),
        ("flags : avx2 avx512f", False),
        ("", False),
    ],
)
def test_auto_is_bfloat16_where_the_hardware_multiplies_it(monkeypatch, flags, fast):
    monkeypatch.setattr(precision, "_cpu_flags", lambda: flags)
    assert bfloat16_is_fast(CPU) == fast
    assert bfloat16_is_fast(torch.device("cuda"))
    expected = {"auto": fast, "bfloat16": True, "float32": False}
    for name, low in expected.items():
        with autocast(CPU, name):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if low else torch.float32)


def test_in_bfloat16_weights_and_losses_stay_float32_and_come_close():
    """Matrix products are rounded: the losses differ from those in float32 by a few per cent.

    Steps are small, because large ones let what was rounded grow.
    """
    low, high = (
        training(learns=objective(precision=name), learning_rate=1e-3) for name in ("bfloat16", "float32")
    )
    rough, exact = ([values["loss"] for _, values in run] for run in (low, high))
    assert rough == pytest.approx(exact, rel=0.1)
    assert rough != pytest.approx(exact, rel=1e-5)
    assert {weight.dtype for weight in low.result.parameters()} == {torch.float32}
    learns = objective(precision="bfloat16")
    assert learns.losses(low.flow, learns.draw(generator()), CPU)["loss"].dtype == torch.float32
