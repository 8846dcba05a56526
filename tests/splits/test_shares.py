"""Schemes that hold out other shares than usual are named after them."""

from __future__ import annotations

from itertools import combinations

import pytest

from benchmark.data.dataset import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.splits import adjusted, check_split, load_split, require_scheme
from benchmark.splits.schemes import doubles, singles
from benchmark.splits.shares import scheme_called, with_shares
from tests.data.brought import HOW, brought, file

ALONE = [f"G{i:02d}+ctrl" for i in range(20)]
PAIRS = ["+".join(pair) for pair in combinations([f"G{i:02d}" for i in range(8)], 2)]


@pytest.fixture
def screen(tmp_path):
    return file(tmp_path, brought(doubles=20))


def test_half_of_the_pairs_are_held_out_where_half_is_asked_for():
    """28 pairs: 14 for the test, max(1, int(5.6)) for validation; the draw is that of `doubles`."""
    parts = scheme_called("doubles_test50_validation20")([*ALONE, *PAIRS], 3)
    usual = doubles([*ALONE, *PAIRS], 3)
    assert (len(parts.test), len(parts.validation), len(parts.train)) == (14, 5, 20 + 9)
    assert parts.test[: len(usual.test)] == usual.test
    assert parts.parameters == {"test_fraction": 0.5, "validation_fraction": 0.2, "random_state": 45}


def test_a_quarter_of_the_genes_is_held_out_where_a_quarter_is_asked_for():
    parts = scheme_called("singles_test25")(ALONE, 0)
    assert (len(parts.test), len(parts.validation), len(parts.train)) == (5, 2, 13)
    assert set(singles(ALONE, 0).test) < set(parts.test)


@pytest.mark.parametrize(
    ("scheme", "shares", "name"),
    [
        ("doubles", {"test": 0.5}, "doubles_test50"),
        ("doubles", {"test": 0.125, "validation": 0.29}, "doubles_test12.5_validation29"),
        ("singles", {"validation": 0.3}, "singles_validation30"),
        ("singles", {"test": 0.2, "validation": 0.1}, "singles"),
        ("doubles", {"test": 0.2}, "doubles_test20"),
    ],
)
def test_a_name_says_the_shares_that_are_not_the_usual_ones_and_is_read_as_they_are(scheme, shares, name):
    assert with_shares(scheme, **shares) == name
    parameters = scheme_called(name)([*ALONE, *PAIRS], 0).parameters
    assert {f"{part}_fraction": share for part, share in shares.items()}.items() <= parameters.items()
    require_scheme(name)


@pytest.mark.parametrize(
    "name",
    ["doubles_test30", "doubles_test050", "doubles_test0", "doubles_test95", "holdout_test50", "doubles_"],
)
def test_no_share_has_two_names_and_none_leaves_nothing(name):
    assert scheme_called(name) is None
    with pytest.raises(BenchmarkError, match=f"There is no split '{name}'"):
        require_scheme(name)


@pytest.mark.parametrize(
    ("scheme", "shares", "sentence"),
    [
        ("doubles", {"test": 1.5}, "The test share is between 0 and 1, not 1.5; give another."),
        ("doubles", {"test": 0.9}, "together and leave nothing to learn from; lower one."),
        ("simulation", {"test": 0.5}, "The split 'simulation' has its shares by its name"),
        ("mine.csv", {"test": 0.5}, "There is no split with shares to choose 'mine.csv'"),
    ],
)
def test_shares_that_cannot_be_are_refused(scheme, shares, sentence):
    with pytest.raises(BenchmarkError) as caught:
        with_shares(scheme, **shares)
    assert sentence in str(caught.value)


def test_a_split_with_shares_is_frozen_under_its_name_and_found_sound(screen, home):
    dataset = load_dataset(str(screen), **HOW)
    split = load_split(dataset, adjusted(dataset, "auto", 1, test=0.5), 1)
    assert (home / "splits" / "brought" / "doubles_test50-1.json").is_file()
    assert len(split.test) == 10
    assert check_split(split, dataset) == []
    moved = split.model_copy(update={"train": split.train[1:]}).sealed()
    assert "it is not what the scheme 'doubles_test50' draws from these data" in check_split(moved, dataset)


def test_splits_make_and_check_take_a_share_and_runs_take_the_name(type_, screen, store):
    options = ["--dataset", screen, *("--perturbation-column", "condition", "--control-label", "ctrl")]
    options += ["--expression", "counts"]
    code, out, _ = type_("splits", "make", *options, "--split", "auto", "--test-share", 0.5)
    assert code == 0
    assert "brought doubles_test50-0: 16 train, 2 validation, 10 test perturbations" in out
    assert "--split doubles_test50 names it" in out
    code, out, _ = type_("splits", "check", *options, "--split", "doubles", "--test-share", 0.5)
    assert (code, out.splitlines()[-1]) == (0, "brought doubles_test50-0: sound")
    run = ("run", "--method", "train_mean", *options, "--split", "doubles_test50", "--no-anchors")
    code, out, _ = type_(*run, "--cells", 6)
    assert (code, "split doubles_test50, seed 0" in out) == (0, True)


def test_a_share_that_is_too_small_for_a_screen_is_refused(screen):
    dataset = load_dataset(str(screen), **HOW)
    with pytest.raises(BenchmarkError, match="its test part would be empty: use --split doubles"):
        load_split(dataset, "doubles_test1", 0)
