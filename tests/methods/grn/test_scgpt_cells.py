"""How scGPT's cells are read: values in bins, by hand and by definition."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods._grn.scgpt.cells import bin_values, tie_breaks
from tests.methods.grn.scgpt_case import bins_by_definition


def test_binning_by_hand():
    """With 5 bins the edges are the quantiles 0, 1/3, 2/3 and 1 of the values that are not zero."""
    ties = torch.tensor([0.0, 0.4, 0.9, 0.5, 0.5])
    values = torch.tensor(
        [
            [1.0, 2, 3, 4, 0],  # edges 1, 2, 3, 4
            [0, 1, 2, 4, 0],  # edges 1, 5/3, 8/3, 4
            [1, 1, 1, 5, 0],  # edges 1, 1, 1, 5: the ones go to bins 3, 2 and 1
            [0, 0, 2, 0, 0],  # edges 2, 2, 2, 2: the one value goes anywhere from 1 to 4
            [0, 0, 0, 0, 0],
        ]
    )
    expected = [[1, 2, 3, 4, 0], [0, 1, 2, 4, 0], [3, 2, 1, 4, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert bin_values(values, 5, ties).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(3, 60), st.integers(0, 99))
def test_binning_equals_the_definition(counts, n_bins, seed):
    """Counts with many ties give the bins of the definition, exactly, for any number of bins."""
    cell, ties = np.log1p(np.array(counts) * 1.7), tie_breaks(len(counts), seed)
    found = bin_values(torch.from_numpy(cell)[None], n_bins, ties)[0].numpy()
    np.testing.assert_array_equal(found, bins_by_definition(cell, n_bins, ties.numpy()))
    assert ((found > 0) == (cell > 0)).all()
    assert found.max() <= n_bins - 1


def test_equal_values_spread_evenly():
    """A thousand equal values fall into all 50 bins, 20 in each but for chance."""
    bins = bin_values(torch.ones(1, 1000), 51, tie_breaks(1000, 3))
    assert bins.min() == 1
    assert np.bincount(bins[0], minlength=51)[1:].min() >= 8
    assert np.bincount(bins[0], minlength=51).max() <= 36
