"""The board ranks honestly: hand-computed ranks, intervals that cover, nothing hidden."""

from __future__ import annotations

import csv
import io
import json

import pytest

from benchmark.board import HEADLINE, build_board
from benchmark.board.export import as_csv, as_json
from benchmark.board.text import as_markdown, as_table
from benchmark.records.tracking import StoredRun
from tests.board import board_case
from tests.board.board_case import BETTER


def stored(
    method: str, quality: float, *, given: dict[str, list[float]] | None = None, **about: object
) -> StoredRun:
    """A run whose headline scores are all better the higher `quality` is, in two perturbations."""
    middle = {name: 0.5 + sign * quality / 10 for name, sign in BETTER.items()}
    scores = {name: [value, value + 0.1] for name, value in middle.items()} | (given or {})
    return board_case.stored(method, scores, **about)


def test_the_four_headline_metrics_rank_methods():
    assert HEADLINE == ("de_overlap_adjusted", "direction_balanced", "mse", "pearson")


def test_rows_are_sorted_by_their_mean_rank():
    (block,) = build_board([stored("worse", 1), stored("best", 3), stored("middle", 2)])
    assert [(row.method, row.rank, row.mean_rank) for row in block.rows] == [
        ("best", 1, 1.0),
        ("middle", 2, 2.0),
        ("worse", 3, 3.0),
    ]


def test_mean_rank_averages_the_metrics_and_ties_share():
    """a wins on three metrics, b on one; c equals b everywhere."""
    b = {"mse": [0.1, 0.1]}
    (block,) = build_board([stored("a", 2), stored("b", 1, given=b), stored("c", 1, given=b)])
    ranks = {row.method: (row.rank, row.mean_rank) for row in block.rows}
    assert ranks == {
        "a": (1, (1 + 1 + 3 + 1) / 4),
        "b": (2, (2.5 * 3 + 1.5) / 4),
        "c": (2, (2.5 * 3 + 1.5) / 4),
    }


def test_seeds_are_averaged_and_counted():
    (block,) = build_board([stored("a", 1, seed=0), stored("a", 3, seed=2)])
    (row,) = block.rows
    assert (row.seeds, row.seed_list) == (2, [0, 2])
    assert row.metrics["pearson"].mean == pytest.approx(0.5 + (0.1 + 0.3) / 2 + 0.05)


def test_a_row_with_fewer_seeds_is_marked():
    text = as_markdown(build_board([stored("a", 1, seed=0), stored("a", 1, seed=1), stored("b", 1)]))
    assert "| 1* |" in text
    assert "rows with * lack some of 0, 1" in text


def test_failed_runs_are_listed_and_not_ranked():
    runs = [stored("a", 1), stored("b", 2, status="failed", reason="ValueError: no")]
    (block,) = build_board(runs)
    failed = block.rows[-1]
    assert (failed.method, failed.status, failed.rank, failed.metrics) == ("b", "failed", None, {})
    assert "unranked: b, seed 0, failed: ValueError: no" in as_table([block])


def test_a_failure_that_was_repeated_with_success_is_history():
    runs = [stored("a", 1, started=2), stored("a", 1, status="killed", started=1)]
    (block,) = build_board(runs)
    assert [row.status for row in block.rows] == ["finished"]


def test_a_repeated_run_counts_once_and_the_newest_counts():
    runs = [stored("a", 3, started=2), stored("a", 1, started=1)]
    (block,) = build_board(runs)
    assert block.rows[0].run_ids == ["id-a-0-2"]


def test_other_data_of_the_same_name_are_another_block():
    blocks = build_board([stored("a", 1), stored("b", 2, dataset_digest="e" * 64)])
    assert [[row.rank for row in block.rows] for block in blocks] == [[1], [1]]


@pytest.mark.parametrize("tag", ["config_digest", "scores.0000"])
def test_runs_of_an_older_version_are_left_out_and_counted(caplog, tag):
    older = stored("b", 9)
    del older.tags[tag]
    (block,) = build_board([stored("a", 1), older])
    assert [row.method for row in block.rows] == ["a"]
    assert "1 runs were recorded by an older version" in caplog.text


def test_undefined_perturbations_are_left_out_and_counted():
    (block,) = build_board([stored("a", 1, given={"de_overlap_adjusted": [float("nan"), 0.4]})])
    found = block.rows[0].metrics["de_overlap_adjusted"]
    assert (found.mean, found.n, found.missing) == (0.4, 1, 1)
    assert "†1" in as_markdown([block])


def test_a_metric_that_is_never_defined_ranks_last():
    nowhere = {"pearson": [float("nan")] * 2}
    (block,) = build_board([stored("a", 5, given=nowhere), stored("b", 1)])
    a = next(row for row in block.rows if row.method == "a")
    assert a.metrics["pearson"].mean is None
    assert a.mean_rank == (1 + 1 + 1 + 2) / 4
    assert "undefined" in as_table([block])


def without_newer_metrics(run: StoredRun) -> StoredRun:
    """The run as a version recorded it that had only the four headline metrics and no samples."""
    assert set(run.scores) == set(BETTER)
    assert "samples" not in run.tags
    return run


NEWER = {"interval_coverage_95": [0.9, 1.0], "calibration_error": [float("nan"), 0.1]}


@pytest.mark.parametrize("older_better", [True, False])
def test_runs_with_fewer_metrics_are_ranked_beside_those_with_more(older_better):
    older = without_newer_metrics(stored("older", 3 if older_better else 1))
    (block,) = build_board([stored("newer", 2, given=NEWER, samples="1"), older])
    assert [row.method for row in block.rows] == (["older", "newer"] if older_better else ["newer", "older"])
    assert [row.rank for row in block.rows] == [1, 2]
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(as_csv([block])))}
    assert lines["older"]["calibration_error_mean"] == ""
    assert float(lines["newer"]["interval_coverage_95_mean"]) == pytest.approx(0.95)
    assert "older" in as_markdown([block])
    assert "older" in as_table([block])
    assert len(json.loads(as_json([block]))) == 2


def test_seeds_with_other_metrics_share_a_row_and_a_metric_counts_the_seeds_that_have_it():
    runs = [stored("a", 1, seed=1, given=NEWER), without_newer_metrics(stored("a", 1, seed=0))]
    (block,) = build_board(runs)
    (row,) = block.rows
    coverage, error = (row.metrics[name] for name in NEWER)
    assert (coverage.mean, coverage.n, coverage.missing) == (pytest.approx(0.95), 2, 0)
    assert (error.mean, error.n, error.missing) == (pytest.approx(0.1), 1, 1)
    assert (row.metrics["mse"].n, row.rank) == (4, 1)


def test_runs_of_other_samples_never_share_a_row_and_say_how_many():
    """A run that is older than samples is one with one sample."""
    runs = [
        stored("a", 1, samples="1", started=3),
        stored("a", 3, samples="5", started=2),
        without_newer_metrics(stored("a", 9, started=1)),
    ]
    (block,) = build_board(runs)
    assert [(row.label, row.samples, row.run_ids) for row in block.rows] == [
        ("a (5 samples)", 5, ["id-a-0-2"]),
        ("a", 1, ["id-a-0-3"]),
    ]


def test_runs_of_other_hyper_parameters_never_share_a_row():
    """Not even where both were the default when they ran."""
    (block,) = build_board([stored("a", 3), stored("a", 1, key="old", config_digest="0" * 64)])
    assert [(row.method, row.seeds) for row in block.rows] == [("a", 1), ("a", 1)]


def test_runs_of_older_code_give_way_to_the_newest_of_their_seed():
    (block,) = build_board([stored("a", 3, started=2), stored("a", 1, key="older code", started=1)])
    assert [row.run_ids for row in block.rows] == [["id-a-0-2"]]


def test_another_split_file_of_the_same_name_is_another_block():
    blocks = build_board([stored("a", 1), stored("b", 2, split_digest="t" * 64)])
    assert [[row.method for row in block.rows] for block in blocks] == [["a"], ["b"]]
    assert "an older split tttttttttt" in as_markdown(blocks)


def test_ranks_compare_the_seeds_that_most_rows_have():
    """a wins where both ran; that its second seed went badly does not count against it."""
    runs = [stored("a", 3, seed=0), stored("a", -4, seed=1), stored("b", 1, seed=0)]
    (block,) = build_board(runs)
    assert [(row.method, row.rank) for row in block.rows] == [("a", 1), ("b", 2)]
    assert block.rows[0].metrics["pearson"].mean < block.rows[1].metrics["pearson"].mean


def test_json_rows_carry_what_programs_need():
    rows = json.loads(as_json(build_board([stored("a", 1), stored("b", 2, status="failed")])))
    assert {row["method"]: row["status"] for row in rows} == {"a": "finished", "b": "failed"}
    row = rows[0]
    assert {"dataset", "split", "method", "seeds", "coverage", "status", "metrics"} <= set(row)
    assert set(row["metrics"]["mse"]) >= {"mean", "low", "high"}


def test_csv_has_a_line_per_row_and_the_bounds_of_every_metric():
    labels = [f"P{index}" for index in range(6)]
    given = {name: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6] for name in BETTER}
    runs = [stored("a", 1, labels=labels, given=given), stored("b", 2, labels=labels, given=given)]
    lines = list(csv.DictReader(io.StringIO(as_csv(build_board(runs)))))
    assert [line["method"] for line in lines] == ["a", "b"]
    assert float(lines[0]["mse_low"]) <= float(lines[0]["mse_mean"]) <= float(lines[0]["mse_high"])


def test_the_board_can_be_narrowed_to_a_data_set():
    runs = [stored("a", 1), stored("a", 1, dataset="other", key="x")]
    assert [block.dataset for block in build_board(runs, dataset="other")] == ["other"]
    assert build_board(runs, split="singles") == []


def test_a_row_that_knows_the_truth_has_no_rank_and_moves_nobody():
    """It is shown with its scores, with the reason, and counts neither as best nor in the seeds."""
    runs = [stored("a", 0.9), stored("b", 0.4)]
    told = stored("oracle", 3.0, knows_truth="true", seed=1)
    (with_it,), (without,) = build_board([*runs, told]), build_board(runs)
    ranks = {row.method: (row.rank, row.mean_rank, row.best_in) for row in without.rows}
    assert {row.method: (row.rank, row.mean_rank, row.best_in) for row in with_it.rows[:2]} == ranks
    (row,) = with_it.rows[2:]
    assert (row.method, row.rank, row.best_in, row.knows_truth) == ("oracle", None, [], True)
    assert row.metrics["pearson"].mean == pytest.approx(0.85)
    text = as_table([with_it], width=200)
    assert (
        "unranked: oracle, seed 1, finished: it is told the truth, which nobody can know: a control" in text
    )


def test_no_two_rows_have_the_same_name_whether_ranked_or_not():
    runs = [
        *(stored("a", 1, seed=seed) for seed in (0, 1, 2)),
        *(stored("b", 1, seed=seed) for seed in (0, 1, 2)),
        stored("a", 1, cells="100", started=1),
        stored("a", 1, method_version="2", started=2),
        stored("b", 1, config_digest="e" * 64, started=3),
        stored("b", 1, cells="64", status="failed", started=4, reason="ValueError: no"),
    ]
    (block,) = build_board(runs)
    assert sorted(block.name(row) for row in block.rows) == [
        "a, 100 cells",
        "a, version 1",
        "a, version 2",
        "b, 64 cells",
        "b, hyper-parameters cccccc",
        "b, hyper-parameters eeeeee",
    ]


def test_a_default_that_tuning_left_as_it_was_is_called_default():
    tuned = {"configuration": "tuned (best.json)", "tuning_trials": "50", "tuning_seconds": "9"}
    (block,) = build_board([stored("a", 1, seed=0, **tuned), stored("a", 1, seed=1), stored("b", 1, seed=0)])
    row = next(row for row in block.rows if row.method == "a")
    assert (block.name(row), row.is_tuned) == ("a", True)


def test_an_attempt_leaves_the_board_when_its_method_finishes_on_that_seed():
    failed = stored("a", 1, status="failed", config_digest="e" * 64, started=1)
    later, earlier = stored("a", 1, started=2), stored("a", 1, started=0)
    assert [row.status for row in build_board([later, failed])[0].rows] == ["finished"]
    assert [row.status for row in build_board([failed, earlier])[0].rows] == ["finished", "failed"]
    other_seed = stored("a", 1, seed=1, started=2)
    assert len(build_board([other_seed, failed])[0].rows) == 2
