"""Means per group of test perturbations, also for runs that do not know their groups."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.board import build_board
from benchmark.board.text import as_markdown, as_table
from benchmark.splits import list_splits
from tests.board.board_case import alike, names, stored

nan = float("nan")
GROUPS = ("combo_seen1", "combo_seen1", "combo_seen2")


def test_groups_get_means_of_their_own():
    scores = {"mse": [0.1, 0.3, 0.7], "pearson": [0.2, nan, 0.9]}
    (block,) = build_board([stored("a", scores, labels=names(3), groups=GROUPS)])
    groups = block.rows[0].groups
    assert set(groups) == {"combo_seen1", "combo_seen2"}
    assert groups["combo_seen1"]["mse"].mean == pytest.approx(0.2)
    found = groups["combo_seen1"]["pearson"]
    assert (found.mean, found.n, found.missing) == (pytest.approx(0.2), 1, 1)
    assert groups["combo_seen2"]["pearson"].mean == pytest.approx(0.9)
    text = as_markdown([block])
    assert "| metric | method | combo_seen1 | combo_seen2 |" in text
    assert "| mse ↓ | a | 0.200 (n 2) | 0.700 (n 1) |" in text


def test_a_perturbation_may_change_its_group_with_the_seed():
    runs = [
        stored("a", {"mse": [0.1, 0.2, 0.4]}, labels=names(3), groups=GROUPS),
        stored("a", {"mse": [0.5, 0.6, 0.8]}, seed=1, labels=names(3), groups=GROUPS[::-1]),
    ]
    (block,) = build_board(runs)
    found = block.rows[0].groups["combo_seen2"]["mse"]
    assert (found.mean, found.n) == (pytest.approx((0.4 + 0.5) / 2), 2)


def test_one_group_is_no_column():
    (block,) = build_board([stored("a", alike([0.1, 0.2]), groups=["combo_seen2"] * 2)])
    assert block.rows[0].groups == {}
    assert "### Groups" not in as_markdown([block])
    assert "of one group, or their groups are not known" in as_table([block], "groups")


def test_runs_that_are_older_than_groups_take_those_of_their_frozen_split_file():
    split = next(split for split in list_splits() if split.scheme == "simulation")
    scores = {"mse": [0.1 * (1 + index) for index in range(len(split.test))]}
    (block,) = build_board([stored("a", scores, labels=split.test, split_digest=split.digest)])
    found = block.rows[0].groups
    assert set(found) == set(split.groups.values())
    for group, metrics in found.items():
        pairs = zip(split.test, scores["mse"], strict=True)
        members = [value for label, value in pairs if split.groups[label] == group]
        assert metrics["mse"].mean == pytest.approx(np.mean(members))


def test_older_runs_share_the_groups_of_newer_ones_and_unknown_splits_have_none():
    runs = [
        stored("new", {"mse": [0.1, 0.2, 0.3]}, labels=names(3), groups=GROUPS),
        stored("old", {"mse": [0.2, 0.4, 0.6]}, labels=names(3)),
    ]
    (block,) = build_board(runs)
    old = next(row for row in block.rows if row.method == "old")
    assert old.groups["combo_seen1"]["mse"].mean == pytest.approx(0.3)
    (block,) = build_board(runs[1:])
    assert block.rows[0].groups == {}


def test_a_damaged_split_file_hides_groups_but_not_the_board(home, caplog):
    folder = home / "splits" / "tiny"
    folder.mkdir(parents=True)
    (folder / "doubles-0.json").write_text("{")
    (block,) = build_board([stored("old", alike([0.1, 0.2]))])
    assert [(row.method, row.groups) for row in block.rows] == [("old", {})]
    assert "Groups of older runs are not shown: The split file" in caplog.text
