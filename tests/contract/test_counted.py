"""Claims about predicted counts and the log values that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from benchmark.counted import PredictedCounts, counts_of, logs_of, worth_of_counts


def test_a_count_is_worth_what_takes_the_counts_of_a_cell_to_its_expression() -> None:
    """150 of the 200 counts are on these genes, each worth 50 per 10,000; without counts there is none."""
    counts = np.array([[100.0, 50.0], [0.0, 0.0]])
    expression = np.log1p(counts * 50)
    worth = worth_of_counts(sparse.csr_matrix(expression), sparse.csr_matrix(counts))
    assert worth == pytest.approx([50, 0])
    assert logs_of(counts, worth) == pytest.approx(expression, rel=1e-6)


def test_counts_drawn_for_log_values_are_whole_and_right_on_average() -> None:
    """2.3 counts are 2 or 3, by chance; whole ones stay; where a count is worth nothing there are none."""
    worth = np.full(4000, 10.0)
    logs = np.log1p(np.tile([23.0, 40.0, 0.0], (4000, 1)))
    drawn = counts_of(logs, worth, np.random.default_rng(0))
    assert set(drawn[:, 0]) == {2, 3}
    assert drawn[:, 0].mean() == pytest.approx(2.3, abs=0.03)
    assert (drawn[:, 1] == 4).all()
    assert (drawn[:, 2] == 0).all()
    assert not counts_of(logs, np.zeros(4000), np.random.default_rng(0)).any()


def test_predicted_counts_are_read_as_log_values_and_kept_as_they_are() -> None:
    """A mapping of both; sparse counts as well."""
    counts = {"A": np.array([[1.0, 3.0]]), "B": sparse.csr_matrix([[0.0, 2.0]])}
    predicted = PredictedCounts(counts, lambda label, found: 10 / found.sum(axis=1))
    assert list(predicted) == ["A", "B"]
    assert np.expm1(predicted["A"]) == pytest.approx(np.array([[2.5, 7.5]]))
    assert np.expm1(predicted["B"]) == pytest.approx(np.array([[0, 10]]))
    assert predicted.worth("B") == pytest.approx([5])
    assert predicted.counts is counts
