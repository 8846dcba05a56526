"""What the board says of tuning: what each configuration cost, and where budgets are not equal."""

from __future__ import annotations

import csv
import io
import json

from benchmark.board import build_board
from benchmark.board.export import as_csv, as_json
from benchmark.board.notes import notes
from benchmark.board.tables import scores
from benchmark.board.text import WIDTH, as_markdown, as_table
from benchmark.records.tracking import StoredRun
from tests.board.board_case import alike, stored


def run(method: str, trials: int = 0, cost: float = 0.0, overlap: int = 0, **about: object) -> StoredRun:
    """A run as it is recorded: one that is not tuned has none of the tags."""
    tags = {
        "tuning_trials": str(trials),
        "tuning_seconds": f"{cost:.2f}",
        "tuning_overlap": str(overlap),
    }
    quality = sum(map(ord, method)) % 97 / 1000
    return stored(method, alike([quality, quality + 0.1]), **(tags if trials else {}), **about)


def tuned_column(runs: list[StoredRun]) -> dict[str, str]:
    """Method -> its cell."""
    (block,) = build_board(runs)
    table = scores(block)
    place = table.columns.index("tuned")
    return {row[1]: row[place].replace("\n", " ") for row in table.rows}


def said(runs: list[StoredRun], word: str) -> list[str]:
    """The notes of the block that have a word in them."""
    (block,) = build_board(runs)
    return [note for note in notes(block) if word in note]


def test_the_scores_say_what_a_configuration_cost():
    assert tuned_column([run("a", 50, 119.6), run("b")]) == {"a": "50 / 120 s", "b": ""}


def test_seeds_of_a_row_rest_on_one_study_and_are_not_added_up():
    """The seed whose test part had most of a say counts; a seed without the tags takes nothing away."""
    runs = [run("a", 50, 120, overlap=1, seed=0), run("a", 50, 120, overlap=3, seed=1), run("a", seed=2)]
    ((row,),) = (block.rows for block in build_board(runs))
    assert (row.tuning_trials, row.tuning_seconds, row.tuning_overlap) == (50, 120.0, 3)


def test_a_budget_other_than_that_of_most_rows_is_marked():
    runs = [run("a", 50, 1), run("b", 50, 2), run("c", 20, 3)]
    assert tuned_column(runs) == {"a": "50 / 1 s", "b": "50 / 2 s", "c": "20* / 3 s"}
    (note,) = said(runs, "budget")
    assert "the usual 50 trials" in note


def test_of_budgets_that_are_equally_common_the_smaller_is_marked():
    assert tuned_column([run("a", 20, 1), run("b", 50, 1)]) == {"a": "20* / 1 s", "b": "50 / 1 s"}


def test_equal_budgets_are_not_marked():
    runs = [run("a", 20, 1), run("b", 20, 99)]
    assert tuned_column(runs) == {"a": "20 / 1 s", "b": "20 / 99 s"}
    assert said(runs, "budget") == []


def test_a_failed_run_has_no_say_in_what_is_usual():
    runs = [run("a", 20, 1), run("b", 50, 1, status="failed"), run("c", 50, 1, status="failed")]
    assert tuned_column(runs) == {"a": "20 / 1 s"}


def test_test_perturbations_that_had_a_say_are_counted_below_the_block():
    runs = [run("a", 20, 1, overlap=4), run("b", 20, 1)]
    assert said(runs, "had a say") == [
        "a: 4 test perturbations had a say in its configuration: they are no test of it"
    ]


def test_untuned_rows_beside_tuned_ones_are_named_in_one_note():
    """The ceiling and the anchors have nothing to tune."""
    runs = [run(name) for name in ("x", "y", "additive", "train_mean", "no_change", "limit", "ceiling")]
    assert said(runs, "not tuned") == []
    (note,) = said([*runs, run("a", 20, 1)], "not tuned")
    assert sorted(note.partition(": ")[2].split(", ")) == ["x", "y"]


def test_programs_read_the_numbers():
    board = build_board([run("a", 50, 119.6, overlap=2), run("b")])
    by_method = {row["method"]: row for row in json.loads(as_json(board))}
    names = ("tuning_trials", "tuning_seconds", "tuning_overlap")
    assert [by_method["a"][name] for name in names] == [50, 119.6, 2]
    assert [by_method["b"][name] for name in names] == [0, 0.0, 0]
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(as_csv(board)))}
    assert [lines["a"][name] for name in names] == ["50", "119.6", "2"]
    assert [lines["b"][name] for name in names] == ["0", "0.0", "0"]


def test_the_table_stays_within_the_width_of_a_file():
    runs = [
        run(
            f"grnflow_any_order_{k}",
            1000,
            86400 + k,
            configuration=f"tuned (grnflow_any_order-carpool_semi-doubles-{k}.json)",
            fallbacks="13",
            coverage="0.7234",
            seconds="12345.6",
        )
        for k in range(3)
    ]
    text = as_table(build_board([*runs, run("other", 20, 1)]), width=WIDTH)
    lines = text.split("\n\n")[0].splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert "…" not in text
    assert "86402 s" in text
    assert "20* /" in text
    assert "| 1000 / 86402 s |" in as_markdown(build_board(runs))
