"""Claims about the scores of rankings: by hand, by enumeration, and against scikit-learn."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from benchmark.studies.network.scores import (
    average_precision,
    early_precision,
    expected_average_precision,
    resampled_average_precision,
)


def array(*values: float) -> np.ndarray:
    return np.array(values)


def truth_of(marks: str) -> np.ndarray:
    return np.array([mark == "x" for mark in marks])


def slow_average_precision(truth, score) -> float:
    """Mean, over true entries, of the share of true ones among all that score at least as much."""
    shares = []
    for own in score[truth]:
        reached = [mark for mark, value in zip(truth, score, strict=True) if value >= own]
        shares.append(sum(reached) / len(reached))
    return sum(shares) / len(shares)


def slow_early_precision(truth, score) -> float:
    """Mean over all orders of equal scores of the share of true entries among the first k."""
    k, shares = int(truth.sum()), []
    for order in permutations(range(len(score))):
        if all(score[one] >= score[other] for one, other in pairwise(order)):
            shares.append(truth[list(order[:k])].mean())
    return float(np.mean(shares))


rankings = st.integers(1, 6).flatmap(
    lambda size: st.tuples(
        st.lists(st.booleans(), min_size=size, max_size=size),
        st.lists(st.integers(-2, 3), min_size=size, max_size=size),
    )
)


def test_the_area_by_hand() -> None:
    """True entries at ranks 1 and 3: (1/1 + 2/3) / 2."""
    assert average_precision(truth_of("x.x."), array(4, 3, 2, 1)) == pytest.approx((1 + 2 / 3) / 2)


def test_equal_scores_pass_together() -> None:
    """All equal: the share of true entries, wherever they stand."""
    assert average_precision(truth_of("x..."), array(1, 1, 1, 1)) == pytest.approx(1 / 4)


def test_early_precision_by_hand() -> None:
    """Two true among four: the first two hold one of them."""
    assert early_precision(truth_of("x.x."), array(4, 3, 2, 1)) == pytest.approx(1 / 2)


def test_entries_that_tie_for_the_last_place_share_it() -> None:
    """One place is sure and false; the other goes to one of three, of which two are true."""
    assert early_precision(truth_of(".xx."), array(9, 1, 1, 1)) == pytest.approx((0 + 2 / 3) / 2)


def test_without_anything_true_there_is_no_score() -> None:
    nothing = truth_of("...")
    assert np.isnan(average_precision(nothing, array(3, 2, 1)))
    assert np.isnan(early_precision(nothing, array(3, 2, 1)))


@given(rankings)
def test_both_scores_equal_their_definitions_whatever_ties(ranking) -> None:
    truth, score = map(np.array, ranking)
    assume(truth.any())
    assert average_precision(truth, score) == pytest.approx(slow_average_precision(truth, score))
    assert early_precision(truth, score) == pytest.approx(slow_early_precision(truth, score))


@given(rankings, st.randoms(use_true_random=False))
def test_the_order_of_entries_changes_nothing(ranking, random) -> None:
    truth, score = map(np.array, ranking)
    assume(truth.any())
    order = list(range(len(truth)))
    random.shuffle(order)
    assert average_precision(truth[order], score[order]) == pytest.approx(average_precision(truth, score))
    assert early_precision(truth[order], score[order]) == pytest.approx(early_precision(truth, score))


@given(rankings)
def test_a_perfect_ranking_has_1_and_none_has_more(ranking) -> None:
    truth, score = map(np.array, ranking)
    assume(truth.any())
    assert average_precision(truth, truth.astype(float)) == pytest.approx(1)
    assert early_precision(truth, truth.astype(float)) == pytest.approx(1)
    assert 0 < average_precision(truth, score) <= 1 + 1e-12
    assert 0 <= early_precision(truth, score) <= 1


@pytest.mark.parametrize(("positives", "total"), [(1, 1), (1, 5), (2, 5), (4, 6), (6, 6)])
def test_chance_is_the_mean_over_all_orders(positives, total) -> None:
    truth = np.arange(total) < positives
    every = [slow_average_precision(truth, np.array(order)) for order in permutations(range(total))]
    assert float(expected_average_precision(positives, total)) == pytest.approx(np.mean(every))


def test_chance_is_far_above_the_share_of_true_entries_only_where_there_are_few() -> None:
    """One of 100: H_100 / 100, five times the share; a tenth of a million: the share."""
    assert float(expected_average_precision(1, 100)) == pytest.approx(0.0518738, abs=1e-6)
    assert float(expected_average_precision(100_000, 1_000_000)) == pytest.approx(0.1, abs=2e-5)


def tables(seed: int):
    """A table of 12 genes and 4 regulators with ties, without one pair a column, and resamples of it."""
    rng = np.random.default_rng(seed)
    candidate = np.ones((12, 4), dtype=bool)
    candidate[np.arange(4), np.arange(4)] = False
    truth = candidate & (rng.random((12, 4)) < 0.3)
    score = rng.integers(0, 6, (12, 4)) / 7
    return truth, score, candidate, rng.multinomial(4, np.full(4, 1 / 4), size=250)


@pytest.mark.parametrize("seed", range(5))
def test_resamples_equal_weighted_scores_of_scikit_learn(seed) -> None:
    truth, score, candidate, weights = tables(seed)
    found = resampled_average_precision(truth, score, candidate, weights)
    assert len(found) == len(weights)
    for value, weight in zip(found, weights, strict=True):
        weight = np.broadcast_to(weight, truth.shape)[candidate]
        if weight @ truth[candidate] == 0:
            assert np.isnan(value)
            continue
        expected = average_precision_score(truth[candidate], score[candidate], sample_weight=weight)
        assert value == pytest.approx(expected)


def test_a_resample_of_each_column_once_is_the_score_itself() -> None:
    truth, score, candidate, _ = tables(0)
    (value,) = resampled_average_precision(truth, score, candidate, np.ones((1, 4)))
    assert value == pytest.approx(average_precision(truth[candidate], score[candidate]))


def test_a_resample_without_a_true_entry_is_undefined() -> None:
    truth, score, candidate, _ = tables(0)
    truth[:, 0] = False
    (value,) = resampled_average_precision(truth, score, candidate, np.array([[4, 0, 0, 0]]))
    assert np.isnan(value)
