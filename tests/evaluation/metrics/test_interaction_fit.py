"""Claims about the fit of a double by its two singles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import TheilSenRegressor

from benchmark.evaluation.metrics import METRICS, Moments, Response
from benchmark.evaluation.metrics.interaction_fit import NEIGHBOURS, spatial_median, theil_sen
from tests.evaluation.metrics.metric_case import reference, response

SEEDS = st.integers(0, 2**32 - 1)
NAMES = ["gi_c1_error", "gi_c2_error", "gi_magnitude_error", "gi_dominance_error"]


def doubles(singles: np.ndarray, *shares: tuple[float, float]) -> list[Response]:
    """Make responses to A+B in which the singles have these shares."""
    n = singles.shape[1]
    known = {name: Moments(9, 1 + change, np.ones(n)) for name, change in zip("AB", singles, strict=True)}
    shared = reference(n, singles=known)
    return [response(np.array(share) @ singles, against=shared, label="A+B") for share in shares]


def changes(seed: int, genes: int = 30) -> np.ndarray:
    """Draw the changes of two singles."""
    return np.random.default_rng(seed).standard_t(3, (2, genes))


@pytest.mark.parametrize(
    ("guess", "errors"),
    [
        ((1, 1), [0.2, 0.9, np.sqrt(2) - np.sqrt(0.65), np.log10(8)]),
        ((0.8, 0.1), [0, 0, 0, 0]),
        ((0.1, 0.8), [0.7, 0.7, 0, 0]),
        ((0, 0), [0.8, 0.1, np.sqrt(0.65), np.log10(8)]),
        ((0.8, -0.1), [0, 0.2, 0, 0]),
        ((0.8, 0), [0, 0.1, np.sqrt(0.65) - 0.8, np.log10(80) - np.log10(8)]),
    ],
)
def test_errors_by_hand(guess: tuple[float, float], errors: list[float]) -> None:
    """A has eight times the share of B: dominance log10(8), magnitude sqrt(.65).

    Exchanged singles are as strong and as unequal, signs do not count for dominance, and shares below 0.01
    count as that, so that no guess has an undefined one.
    """
    real, predicted = doubles(changes(0), (0.8, 0.1), guess)
    found = [METRICS[name](real, predicted) for name in NAMES]
    expected = [abs(error) for error in errors]
    if guess != (0.1, 0.8):
        expected[2] = abs(np.hypot(*guess) - np.hypot(0.8, 0.1))
    assert found == pytest.approx(expected, abs=1e-9)


def test_an_additive_double_has_the_shares_one_and_one() -> None:
    """So its magnitude is sqrt(2), and neither single dominates."""
    singles = changes(1)
    assert theil_sen(singles, singles.sum(axis=0)) == pytest.approx([1, 1])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_the_shares_are_found_exactly_though_a_fifth_of_the_genes_is_off(seed: int) -> None:
    """Least squares is far off there; the clean pairs are still the majority."""
    rng = np.random.default_rng(seed)
    singles = rng.normal(size=(2, 50))
    double = np.array([0.7, -0.4]) @ singles
    double[rng.permutation(50)[:10]] += rng.choice([-1, 1], 10) * rng.uniform(20, 40, 10)
    assert theil_sen(singles, double) == pytest.approx([0.7, -0.4], abs=1e-6)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_scikit_learn_says_the_same_where_both_take_all_pairs(seed: int) -> None:
    """As GEARS calls it, but iterated to the end."""
    singles = changes(seed, genes=25)
    double = np.array([0.8, 0.3]) @ singles + np.random.default_rng(seed).normal(0, 0.5, 25)
    fitted = TheilSenRegressor(
        fit_intercept=False, max_subpopulation=1e5, max_iter=5000, tol=1e-12, random_state=1000
    ).fit(singles.T, double)
    assert fitted.n_subpopulation_ == 25 * 24 / 2
    assert theil_sen(singles, double) == pytest.approx(fitted.coef_, abs=1e-6)


def test_pairs_of_neighbours_say_what_all_pairs_say() -> None:
    """Of 400 genes each meets 50 that follow: a quarter of the pairs, and nearly the same shares."""
    singles = changes(2, genes=400)
    double = np.array([0.8, 0.3]) @ singles + np.random.default_rng(2).normal(0, 0.5, 400)
    assert 2 * NEIGHBOURS < 400
    one, other = np.triu_indices(400, 1)
    systems = np.stack([singles[:, one].T, singles[:, other].T], axis=1)
    solved = np.linalg.solve(systems, np.stack([double[one], double[other]], axis=1)[..., None])[..., 0]
    assert theil_sen(singles, double) == pytest.approx(spatial_median(solved.T), abs=0.03)


@settings(max_examples=40, deadline=None)
@example(seed=909, n=4)  # one of the points, which steps approach more and more slowly
@example(seed=2327, n=4)  # nearly on a line: a flat valley
@given(seed=SEEDS, n=st.integers(1, 9))
def test_no_point_is_nearer_to_all_than_the_spatial_median(seed: int, n: int) -> None:
    """Against a general minimiser, also where it is one of the points."""
    points = np.random.default_rng(seed).standard_t(2, (2, n))

    def total(point: np.ndarray) -> float:
        return float(np.linalg.norm(points - point[:, None], axis=0).sum())

    best = min(
        minimize(total, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12}).fun
        for start in (points.mean(axis=1), np.median(points, axis=1))
    )
    assert total(spatial_median(points)) <= min([best, *map(total, points.T)]) + 1e-5 * (1 + best)


def test_a_median_that_is_a_point_holds_and_one_that_is_not_is_left() -> None:
    """The step of Weiszfeld would stay for ever on any point it meets."""
    held = np.array([[0, 1, -1, 2, -1], [0, 1, -1.5, -1, 3]])  # the others pull with 0.8 of a point's weight
    assert spatial_median(held).tolist() == [0, 0]
    left = np.array([[0, -1, -1, 10, 10.5], [0, 10, 10.5, -1, -1.1]])
    assert np.median(left, axis=1).tolist() == [0, 0]
    median, point = (np.linalg.norm(left.T - at, axis=1).sum() for at in (spatial_median(left), np.zeros(2)))
    assert median < point - 1


@pytest.mark.parametrize(
    "singles",
    [
        np.zeros((2, 5)),
        np.ones((2, 5)),
        np.outer([1, -2], np.arange(5.0)),
        np.eye(2)[:, :1],
        np.zeros((2, 0)),
    ],
)
def test_singles_that_cannot_be_told_apart_leave_the_shares_undefined(singles: np.ndarray) -> None:
    """No change, the same change, changes in one proportion, a single gene and none at all."""
    assert np.isnan(theil_sen(singles, np.arange(singles.shape[1], dtype=float))).all()


def test_genes_without_a_change_do_not_count() -> None:
    """A thousand of them say nothing about shares, and cause no warning."""
    singles = np.concatenate([changes(3), np.zeros((2, 30))], axis=1)
    double = np.array([0.5, 0.2]) @ singles
    double[30:] = 7
    assert theil_sen(singles, double) == pytest.approx([0.5, 0.2])
