"""What holds of the metrics of whole distributions whatever the cells, and where cells are degenerate."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.metrics.distribution import MOST_CELLS
from tests.evaluation.metrics.distribution_case import FAMILY, drawn, score, sides
from tests.evaluation.metrics.metric_case import evaluate

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_axioms(seed: int) -> None:
    """The truth is best without a rest, values stay in range, and the sides can be exchanged."""
    real, predicted = drawn(seed, n_predicted=12)
    for name in FAMILY:
        spec = METRICS[name].spec
        found = score(name, real, predicted)
        assert spec.range[0] <= found <= spec.range[1]
        if spec.best is not None:
            assert score(name, real, real) == pytest.approx(spec.best, abs=1e-12)
            assert score(name, predicted, real) == pytest.approx(found, rel=1e-9, abs=1e-12)
    assert score("variance_ratio", real, real) == 1


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_neither_cells_nor_genes_have_an_order(seed: int) -> None:
    """Permuted cells give the very same numbers, also where cells are permutations of each other."""
    rng = np.random.default_rng(seed)
    control, real, predicted = (
        rng.choice(np.float32([0, 0.3, 0.7]), (n, 6)) + 0.1 * np.eye(n, 6, dtype=np.float32)
        for n in (8, 15, 11)
    )
    plain = evaluate(control, {"A": real}, {"A": predicted})[FAMILY]
    shuffled = evaluate(
        rng.permutation(control), {"A": rng.permutation(real)}, {"A": rng.permutation(predicted)}
    )[FAMILY]
    assert shuffled.equals(plain)
    genes = rng.permutation(6)
    regened = evaluate(control[:, genes], {"A": real[:, genes]}, {"A": predicted[:, genes]})[FAMILY]
    np.testing.assert_allclose(regened, plain, rtol=1e-9, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_the_farther_all_cells_are_shifted_the_worse(seed: int) -> None:
    """Real cells as the guess, moved along one direction."""
    real = drawn(seed)[0]
    step = np.random.default_rng(seed).random(7)
    control = real.reference.control.values.T
    walk = sides(control, *(real.cells + width * step for width in (0, 0.2, 0.5, 1, 3)))
    for name in ("energy_distance", "wasserstein"):
        assert all(score(name, real, a) < score(name, real, b) for a, b in pairwise(walk))


@pytest.mark.parametrize("name", ["energy_distance", "mmd", "wasserstein", "variance_error"])
def test_too_little_and_too_much_spread_are_worse(name: str) -> None:
    """Guesses with the real mean whose cells stand closer together or farther apart."""
    rng = np.random.default_rng(2)
    control, real, fresh = (rng.normal(7, 0.7, (200, 30)) for _ in range(3))
    truth, *guesses = sides(control, real, *(7 + width * (fresh - 7) for width in (0, 0.5, 1, 1.5, 2.2)))
    found = [score(name, truth, guess) for guess in guesses]
    assert found[0] > found[1] > found[2] < found[3] < found[4]


@pytest.mark.parametrize("guess", ["equal cells", "one cell twice", "nothing expressed"])
def test_degenerate_guesses_have_a_finite_score(guess: str) -> None:
    """No warning either; who predicts one cell again and again has no variance."""
    rng = np.random.default_rng(6)
    control, real = rng.random((20, 5)) + 1, rng.random((20, 5)) + 1
    for side in (control, real):
        side[:, 4] = 0
    cells = {
        "equal cells": np.tile(real.mean(axis=0), (8, 1)),
        "one cell twice": real[[3, 3]],
        "nothing expressed": np.zeros((8, 5)),
    }
    truth, predicted = sides(control, real, cells[guess])
    found = {name: score(name, truth, predicted) for name in FAMILY}
    assert np.isfinite(list(found.values())).all()
    assert (found["variance_ratio"], found["variance_error"]) == (0, 1)
    assert min(found["energy_distance"], found["mmd"], found["wasserstein"]) > 0.05


def test_where_nothing_varies_what_is_undefined_is_nan_as_declared() -> None:
    """Equal real cells leave the ratio undefined, equal control cells the width of the kernel."""
    still, moving = np.ones((4, 3)), np.random.default_rng(7).random((5, 3))
    truth, guess = sides(moving, still, moving)
    assert [name for name in FAMILY if np.isnan(score(name, truth, guess))] == [
        "variance_ratio",
        "variance_error",
    ]
    assert [score(name, truth, truth) for name in ("energy_distance", "mmd", "wasserstein")] == [0, 0, 0]
    truth, guess = sides(still, moving, moving)
    assert [name for name in FAMILY if np.isnan(score(name, truth, guess))] == ["mmd"]


def test_cells_that_differ_by_rounding_are_no_distance_apart_however_large_their_values() -> None:
    """What a product of matrices loses must not come back as the root of a rounding error."""
    rng = np.random.default_rng(8)
    cells = rng.uniform(8, 9, (37, 1999)).astype(np.float32)
    rounded = np.nextafter(cells, np.where(rng.random(cells.shape) < 0.5, 0, 10).astype(np.float32))
    real, copies, nearly = sides(np.zeros((2, 1999)), cells, np.tile(cells, (3, 1)), rounded)
    assert score("energy_distance", real, copies) == pytest.approx(0, abs=1e-12)
    assert score("energy_distance", real, nearly) == pytest.approx(0, abs=1e-7)


def test_of_many_cells_a_fixed_part_stands_for_all() -> None:
    """In no order of cells or genes, and close to what all of them give."""
    rng = np.random.default_rng(9)
    control, real, predicted = (
        rng.normal(mean, 1, (n, 15)).clip(0) for mean, n in ((4, 50), (4, 2100), (5, 1300))
    )
    assert min(len(real), len(predicted)) > 2 * MOST_CELLS
    names = ["energy_distance", "mmd"]

    def scores(cells: np.ndarray, genes: np.ndarray) -> np.ndarray:
        return evaluate(control[:, genes], {"A": cells[:, genes]}, {"A": predicted[:, genes]})[
            names
        ].to_numpy()

    found = scores(real, np.arange(15))
    np.testing.assert_array_equal(scores(rng.permutation(real), np.arange(15)), found)
    np.testing.assert_allclose(scores(real, rng.permutation(15)), found, rtol=1e-9)
    whole = 2 * cdist(real, predicted).mean() - cdist(real, real).mean() - cdist(predicted, predicted).mean()
    assert found[0, 0] == pytest.approx(whole, rel=0.05)
