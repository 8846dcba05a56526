"""Several contexts on the board: equal weights, draws within each, what was trained where, one alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmark.board import HEADLINE, build_board
from benchmark.board.notes import notes
from benchmark.board.page import as_content
from benchmark.board.text import as_markdown, as_table
from benchmark.errors import BenchmarkError
from benchmark.splits import list_splits
from tests.board.board_case import alike, stored

EIGHT = [f"K562::P{k}" for k in range(6)] + ["RPE1::P0", "RPE1::P1"]


def in_both(method, level, **other):
    """A run that scores `level` in one context and three times that in another, of fewer conditions."""
    return stored(method, alike([level] * 6 + [3 * level] * 2), labels=EIGHT, **other)


def of_frozen(scheme, seeds):
    """A run on each frozen split of the simulated contexts, with scores that tell its seed."""
    splits = [s for s in list_splits() if (s.dataset, s.scheme) == ("simulated_contexts", scheme)]
    return [
        stored(
            "a",
            alike([0.1 * (split.seed + 1)] * len(split.test)),
            seed=split.seed,
            labels=split.test,
            split_digest=split.digest,
        )
        for split in splits
        if split.seed in seeds
    ]


def test_contexts_have_equal_weights_however_many_conditions_each_has():
    (block,) = build_board([in_both("a", 0.1)])
    found = block.rows[0].metrics["pearson"]
    assert found.mean == pytest.approx(0.5 + (0.1 + 0.3) / 2)
    assert found.n == 8


def test_conditions_are_drawn_within_their_context():
    """Scores that differ between contexts alone vary with no draw, neither in a mean nor in a rank."""
    labels = [f"K562::P{k}" for k in range(8)] + [f"RPE1::P{k}" for k in range(6)]
    runs = [
        stored(name, alike([level] * 8 + [3 * level] * 6), labels=labels)
        for name, level in (("a", 0.1), ("b", 0.05))
    ]
    (block,) = build_board(runs)
    for row in block.rows:
        assert row.metrics["mse"].low == pytest.approx(row.metrics["mse"].high)
        assert row.mean_rank_low == row.mean_rank_high == row.mean_rank
    (leader, _) = block.rows
    assert leader.against_next["mse"].low == pytest.approx(leader.against_next["mse"].high)


def test_the_context_with_fewest_conditions_decides_whether_there_is_an_interval():
    """Two conditions say nothing of how a mean over more of that context would vary, whatever others have."""
    (block,) = build_board([in_both("a", 0.1), in_both("b", 0.05)])
    leader, other = block.rows
    for found in (leader.metrics["mse"], other.metrics["mse"], leader.against_next["mse"]):
        assert found.mean is not None
        assert (found.low, found.high) == (None, None)
    assert leader.mean_rank_low is None
    assert leader.transfer[0].tested["K562"]["mse"].low is not None


def test_trainings_that_share_no_condition_are_said_to_be_in_no_interval():
    """Each context is tested by a training of its own: how they differ cannot be told from the contexts."""
    said = "hold nothing of what another training would give"
    (apart,) = build_board(of_frozen("contexts_new", (0, 1, 2)))
    assert said in " ".join(notes(apart))
    labels = [f"P{k}" for k in range(8)]
    values = alike(np.random.default_rng(0).normal(size=8))
    (shared,) = build_board([stored("a", values, seed=seed, labels=labels) for seed in range(3)])
    assert said not in " ".join(notes(shared))


def test_draws_of_two_contexts_are_others():
    """Were they the same, what is high in one context and low in the other would have no interval."""
    values = np.linspace(0, 0.2, 6)
    labels = [f"{context}::P{k}" for context in ("K562", "RPE1") for k in range(6)]
    (block,) = build_board([stored("a", alike([*values, *-values]), labels=labels)])
    found = block.rows[0].metrics["pearson"]
    assert found.low < found.mean - 0.01 < found.mean + 0.01 < found.high


def test_one_context_is_scored_as_data_without_contexts():
    values = alike(np.random.default_rng(0).normal(size=8))
    plain = stored("a", values, labels=[f"P{k}" for k in range(8)])
    named = stored("a", values, labels=[f"K562::P{k}" for k in range(8)])
    rows = [build_board([run])[0].rows[0] for run in (plain, named)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("scheme", "trained"), [("contexts_new", "the other contexts"), ("contexts", "all contexts")]
)
def test_a_line_names_what_it_was_trained_on_and_a_column_what_is_tested(scheme, trained):
    (block,) = build_board(of_frozen(scheme, (0, 1, 2)))
    (found,) = block.rows[0].transfer
    assert found.trained == trained
    means = {context: scores["pearson"].mean for context, scores in found.tested.items()}
    assert means == {"C1": pytest.approx(0.6), "C2": pytest.approx(0.7), "C3": pytest.approx(0.8)}
    assert found.mean["pearson"].mean == block.rows[0].metrics["pearson"].mean == pytest.approx(0.7)
    said = as_markdown([block])
    assert "| metric | method | trained on | C1 | C2 | C3 | mean |" in said
    assert f"| pearson ↑ | a | {trained} | 0.600" in said


def test_a_context_that_a_row_lacks_is_a_dash_and_an_unknown_split_is_said():
    runs = [in_both("a", 0.1), stored("b", alike([0.1] * 6), labels=EIGHT[:6], seed=1)]
    (block,) = build_board(runs)
    said = {row.method: row.transfer for row in block.rows}
    assert said["b"][0].trained == "not known"
    assert said["b"][0].tested["RPE1"] == {}
    lines = [line for line in as_markdown([block]).splitlines() if "| b | not known |" in line]
    assert len(lines) == len(HEADLINE)
    assert all(line.split("|")[5].strip() == "–" for line in lines)


def test_one_context_has_no_transfer():
    (block,) = build_board([stored("a", alike([0.1] * 6), labels=EIGHT[:6])])
    assert block.rows[0].transfer == []
    assert "One context was tested." in as_table([block], "transfer")


def test_a_board_narrowed_to_a_context_is_that_of_its_conditions_alone():
    runs = [in_both("a", 0.1, fallbacks="1"), in_both("b", 0.2, seed=0)]
    (block,) = build_board(runs, context="RPE1")
    alone = [
        stored(name, alike([3 * level] * 2), labels=EIGHT[6:]) for name, level in (("a", 0.1), ("b", 0.2))
    ]
    (expected,) = build_board(alone)
    for row, other in zip(block.rows, expected.rows, strict=True):
        assert (row.method, row.rank, row.metrics) == (other.method, other.rank, other.metrics)
    text = as_table([block])
    assert "split doubles, context RPE1 (" in text
    assert "coverage and refusals are of all contexts that a run was tested in" in text
    with pytest.raises(BenchmarkError, match="no context 'RPE2'; did you mean 'RPE1'"):
        build_board(runs, context="RPE2")


def test_a_context_is_refused_where_no_run_has_one():
    with pytest.raises(BenchmarkError, match="none is recorded on data with several contexts; leave out"):
        build_board([stored("a", alike([0.1, 0.2]))], context="K562")


def test_control_cells_of_every_context_are_said_whichever_seed_tested_it():
    runs = [
        in_both("a", 0.1, seed=seed, controls=json.dumps({f"{name}::shared": 50, f"{name}::needed": 9}))
        for seed, name in enumerate(("K562", "RPE1"))
    ]
    (block,) = build_board(runs)
    assert block.controls.count("50 control cells") == 2
    (block,) = build_board(runs, context="RPE1")
    assert block.controls.startswith("in RPE1 50 control cells")
    assert "K562" not in block.controls


def test_the_page_has_contexts_beside_groups_and_what_was_learned_where():
    runs = [in_both("a", 0.1, groups=["combo_seen1", "combo_seen2"] * 4)]
    (board,) = as_content(build_board(runs), runs)["boards"]
    assert (board["groups"], board["contexts"]) == (["combo_seen1", "combo_seen2"], ["in K562", "in RPE1"])
    (row,) = board["rows"]
    assert row["transfer"][0]["tested"]["RPE1"]["pearson"][0] == pytest.approx(0.8)
    assert row["groups"]["in RPE1"]["pearson"][0] == pytest.approx(0.8)
