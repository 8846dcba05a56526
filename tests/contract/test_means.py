"""Cells are given a mean, and stay like cells."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark.means import MovableCells

CELLS = np.array([[0.0, 2.0], [0.0, 3.0], [1.0, 4.0], [3.0, 5.0]])


@given(
    cells=arrays(np.float64, (7, 3), elements=st.floats(0, 8) | st.just(0.0)),
    mean=arrays(np.float64, 3, elements=st.floats(-1, 8)),
)
def test_moved_cells_have_the_mean_and_are_never_negative(cells, mean):
    moved = MovableCells(cells).to(mean)
    assert (moved >= 0).all()
    np.testing.assert_allclose(moved.mean(axis=0), np.maximum(mean, 0), atol=1e-6)


def test_cells_that_have_the_mean_already_stay_as_they_are():
    np.testing.assert_array_equal(MovableCells(CELLS).to(CELLS.mean(axis=0)), CELLS)


def test_a_lower_mean_subtracts_one_number_and_stops_at_zero():
    """Of 2, 3, 4, 5 with mean 1 the first is 0 already when the others have lost 8/3."""
    moved = MovableCells(CELLS).to(np.array([0.5, 1.0]))
    np.testing.assert_allclose(moved[:, 1], np.array([0, 1, 4, 7]) / 3)
    np.testing.assert_allclose(moved[:, 0], [0, 0, 0, 2])


def test_a_higher_mean_lets_more_cells_express_a_gene_before_it_adds_anything():
    """Cells with 1 and 3 have a mean of 1; with 1.5, one more cell expresses it, as much as one of them."""
    moved = MovableCells(CELLS).to(np.array([1.5, 4.5]))[:, 0]
    assert np.count_nonzero(moved) == 3
    filled = moved[:2].max()
    assert {round(filled / moved[2], 6), round(filled / moved[3], 6)} & {1.0}
    assert moved[3] / moved[2] == 3


def test_where_all_cells_express_a_gene_one_number_is_added():
    np.testing.assert_allclose(MovableCells(CELLS).to(np.array([1.0, 4.5]))[:, 1], CELLS[:, 1] + 1)


def test_a_gene_that_no_cell_expresses_comes_with_usual_values():
    cells = np.zeros((10, 2))
    cells[:, 1] = 2.0
    moved = MovableCells(cells).to(np.array([0.4, 2.0]))
    np.testing.assert_allclose(np.sort(moved[:, 0]), [0] * 8 + [2, 2])


@given(arrays(np.float64, (6, 2), elements=st.floats(0, 5) | st.just(0.0)))
def test_no_zero_becomes_positive_where_a_mean_falls(cells):
    moved = MovableCells(cells).to(0.7 * cells.mean(axis=0))
    assert not moved[cells == 0].any()
