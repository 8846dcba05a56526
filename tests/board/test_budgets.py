"""A longer training that predicts better marks the row it belongs to, and is no row itself."""

from __future__ import annotations

import pytest

from benchmark.board import build_board
from benchmark.board.notes import notes
from tests.board.board_case import alike, names, stored

LABELS = names(8)
LOW, HIGH = [0.1 * n for n in range(8)], [0.1 * n + 0.05 + 0.001 * n for n in range(8)]


def run(values, label="default", **about):
    return stored("net", alike(values), labels=LABELS, configuration=label, **about)


def longer(values, **about):
    usual = {"label": "default, budget=4", "budget": "4.0", "config_digest": "e" * 64}
    return run(values, **(usual | about))


def test_a_row_that_a_longer_training_betters_is_marked():
    (block,) = build_board([run(LOW), longer(HIGH)])
    assert [row.configuration for row in block.rows] == ["default"]
    (said,) = block.unfinished
    assert said.startswith(
        "net (default) is not trained to its end: with 4 times the training its mse is better"
    )
    assert "by 0.054 [" in said
    assert said in notes(block)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [longer(LOW)],
        [longer(HIGH, label="default, budget=0.25", budget="0.25")],
        [longer(HIGH, label="default, train_share=0.5", budget="1.0", train_share="0.5")],
        [longer(HIGH, status="failed")],
        [longer(HIGH, label="width=3, budget=4")],
    ],
)
def test_what_is_no_better_shorter_failed_or_of_another_configuration_marks_nothing(parts):
    (block,) = build_board([run(LOW), *parts])
    assert block.unfinished == []
    assert len(block.rows) == 1


def test_the_largest_budget_is_asked_over_the_seeds_of_both():
    """Seed 1 has no longer training; of two budgets the larger one says nothing."""
    runs = [run(LOW), run(HIGH, seed=1), longer(HIGH)]
    (block,) = build_board(runs)
    assert len(block.unfinished) == 1
    (block,) = build_board([*runs, longer(LOW, label="default, budget=9", budget="9.0")])
    assert block.unfinished == []
