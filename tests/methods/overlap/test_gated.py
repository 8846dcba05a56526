"""The readout: what it reads and how it is trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods._flow.readout import Lesson, Readout, ReadoutOptions, ReadoutShape, readout_inputs, train_readout
from methods._readout_learner import ReadoutLearner
from methods.gated import Gated
from tests.methods.overlap.overlap_case import SMALL, changes, divided, saturate


def test_a_readout_by_hand():
    """One input, two hidden numbers, one number for each of two genes that gates the first of them."""
    network = Readout(ReadoutShape(1, 2, width=2, vector=1, dropout=0.5)).eval()
    values = {
        "vectors": [[1.0], [-1.0]],
        "first.weight": [[2.0], [1.0]], "first.bias": [0.0, 0.5],
        "gate.weight": [[1.0], [0.0]], "gate.bias": [1.0, 1.0],
        "shift.weight": [[0.0], [3.0]],
        "second.weight": [[1.0, 1.0], [0.0, -1.0]], "second.bias": [0.0, 0.25],
        "last.weight": [[1.0, 2.0]], "last.bias": [0.125],
    }  # fmt: skip
    network.load_state_dict({name: torch.tensor(value) for name, value in values.items()})

    def silu(x):
        return x / (1 + np.exp(-x))

    expected = []
    for x, gate, shift in ((0.5, 2.0, 3.0), (0.7, 0.0, -3.0)):
        first, second = silu(2 * x * gate), silu(x + 0.5 + shift)
        expected.append(silu(first + second) + 2 * silu(0.25 - second) + 0.125)
    numbers = torch.tensor([[0.5], [0.7]])
    np.testing.assert_allclose(network(numbers).detach().numpy(), expected, rtol=1e-6)
    alone = network(numbers[1:], torch.tensor([1])).detach().numpy()
    np.testing.assert_allclose(alone, expected[1:], rtol=1e-6)


def test_it_says_nothing_before_it_is_trained():
    assert not Readout(ReadoutShape(3, 4))(torch.randn(5, 4, 3)).any()


def test_genes_read_the_same_number_in_ways_of_their_own():
    """Of two genes that answer with x and with -x to the same x, both are learned."""
    numbers = torch.randn(200, 2, 1, generator=torch.Generator().manual_seed(0))
    lesson = Lesson(numbers, numbers[..., 0] * torch.tensor([1.0, -1.0]))
    options = ReadoutOptions(width=16, vector=2, dropout=0.0, learning_rate=1e-2)
    torch.manual_seed(0)
    early, late = train_readout(ReadoutShape(1, 2, 16, 2, 0.0), lesson, options, (20, 400))
    wrong = [float((network(numbers) - lesson.missed).square().mean()) for network in (early, late)]
    assert wrong[1] < 0.02 < wrong[0]
    assert not late.training


def test_a_latent_is_read_as_far_as_it_has_come():
    """At time 0 nothing of it is seen, at 1 all of it; the time itself is read."""
    shapes, latent = torch.ones(2, 3, 4), torch.full((2, 3, 5), 7.0)
    read = readout_inputs(shapes, latent, torch.tensor([0.0, 1.0]))
    assert read.shape == (2, 3, 10)
    assert read[0, 0].tolist() == [1] * 4 + [0] * 6
    assert read[1, 0].tolist() == [1] * 4 + [7] * 5 + [1]


def test_lessons_with_latents_are_at_rest_in_half_of_the_cases():
    lesson = Lesson(torch.ones(400, 2, 1), torch.ones(400, 2), torch.ones(400, 2, 3), torch.full((2, 3), 0.1))
    torch.manual_seed(0)
    numbers, _ = lesson.draw(400)
    times = numbers[:, 0, -1]
    assert (times == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    finished = numbers[times > 0.97][..., 1:4]
    assert finished.mean() == pytest.approx(1, abs=0.05)


def test_the_seed_decides_the_network(monkeypatch):
    monkeypatch.setattr(ReadoutLearner, "best_steps", lambda learner: 50)
    train, validation, asked = divided(changes(saturate, noise=0.05))
    method, again, other = (Gated(SMALL, seed=seed).fit(train, validation) for seed in (0, 0, 1))
    for double in asked.perturbations:
        np.testing.assert_array_equal(again.shift(double), method.shift(double))
        assert not np.array_equal(other.shift(double), method.shift(double))
