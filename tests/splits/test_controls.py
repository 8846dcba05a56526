"""Control cells are divided: methods are given one half, what is real is measured against the other."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data import load_dataset
from benchmark.perturbation import CONTROL
from benchmark.splits import check_split, frozen_split, load_split, make_split, read_split, split_file
from benchmark.splits.controls import Controls
from benchmark.splits.views import control_cells, given_controls, scored_controls, training_views
from tests.tiny import COLUMNS


@pytest.fixture
def dataset(screen):
    return load_dataset(str(screen), **COLUMNS)


def test_no_control_cell_is_on_both_sides_and_none_is_lost(dataset):
    split = make_split(dataset, "doubles", 3)
    given, scored = given_controls(dataset, split), scored_controls(dataset, split)
    assert not (given & scored).any()
    np.testing.assert_array_equal(given | scored, dataset.adata.obs["perturbation"] == CONTROL)


def test_methods_are_given_their_half_alone(dataset):
    split = make_split(dataset, "doubles", 0)
    train, validation = training_views(dataset, split)
    known = set(train.obs_names[train.obs["perturbation"] == CONTROL])
    assert known == set(control_cells(dataset, split).obs_names)
    withheld = set(dataset.adata.obs_names[scored_controls(dataset, split)])
    assert withheld.isdisjoint({*train.obs_names, *validation.obs_names})


@pytest.mark.parametrize("n", [4, 5, 17, 40])
def test_a_mask_survives_its_digits(n):
    """Of an odd number methods get the less; the same seed divides alike, another otherwise."""
    controls = Controls.halves(n, seed=1)
    assert controls.mask.shape == (n,)
    assert controls.mask.sum() == n // 2
    assert controls == Controls.halves(n, seed=1)
    expected = np.zeros(n, dtype=bool)
    expected[np.random.RandomState(1).permutation(n)[: n // 2]] = True
    np.testing.assert_array_equal(controls.mask, expected)


def test_shared_controls_have_a_digest_of_their_own_and_are_found_by_it(dataset):
    split = load_split(dataset, "doubles", 0)
    shared = split.sharing_controls()
    assert shared.digest != split.digest
    assert (shared.train, shared.test, shared.controls) == (split.train, split.test, None)
    assert frozen_split(dataset, "doubles", 0, shared.digest) == shared
    assert given_controls(dataset, shared).sum() == scored_controls(dataset, shared).sum() == 40
    assert check_split(shared, dataset) == []


def test_a_file_of_before_controls_were_divided_is_read_with_shared_ones(dataset):
    """Its digest does not know of them."""
    split = load_split(dataset, "doubles", 0)
    path = split_file(split.dataset, "doubles", 0)
    old = split.model_copy(update={"controls": None, "generator": "benchmark.splits 1"}).sealed()
    assert old.digest != split.digest
    path.write_text(old.model_dump_json(exclude={"controls"}))
    assert read_split(path) == old


def test_too_few_control_cells_are_shared(dataset):
    adata = dataset.adata
    rest = (adata.obs["perturbation"] != CONTROL).to_numpy()
    rest[np.flatnonzero(~rest)[:3]] = True
    few = type(dataset)(dataset.name, adata[rest].copy(), dataset.digest, dataset.card)
    assert make_split(few, "doubles", 0).controls is None


def test_a_split_for_another_number_of_control_cells_does_not_fit(dataset):
    split = make_split(dataset, "doubles", 0)
    other = split.model_copy(update={"controls": Controls.halves(39, 0)}).sealed()
    assert "it divides 39 control cells, but the data have 40" in check_split(other, dataset)
