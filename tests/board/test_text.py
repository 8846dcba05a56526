"""What people and programs read: sources, versions, all numbers, and nothing cut."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmark.board import HEADLINE, SHOWN, build_board
from benchmark.board.export import as_json
from benchmark.board.notes import notes
from benchmark.board.page.verdict import verdict
from benchmark.board.text import WIDTH, as_markdown, as_table
from tests.board.board_case import alike, names, stored

GROUPS = ("combo_seen1", "combo_seen1", "combo_seen2")


def noisy(seed: int, n: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n)


def test_scores_of_an_older_version_are_pointed_out():
    run = stored("a", alike([0.1, 0.2]), metric_versions='{"mse": "0", "gone": "1"}')
    (block,) = build_board([run])
    assert block.rows[0].outdated == ["mse"]
    assert "scored with an older version of metric mse: a; `python -m benchmark rescore`" in as_markdown(
        [block]
    )


def test_json_has_comparisons_groups_and_intervals_of_ranks():
    runs = [
        stored(name, alike(noisy(k, 6)), labels=names(6), groups=[*GROUPS, *GROUPS])
        for k, name in enumerate("ab")
    ]
    upper, _ = json.loads(as_json(build_board(runs)))
    assert upper["mean_rank_low"] <= upper["mean_rank"] <= upper["mean_rank_high"]
    assert upper["against_next"]["mse"]["n"] == 6
    assert upper["groups"]["combo_seen2"]["mse"]["n"] == 2


def test_mean_ranks_over_few_perturbations_have_no_interval():
    runs = [stored(name, alike(noisy(k, 5)), labels=names(5)) for k, name in enumerate("ab")]
    blocks = build_board(runs)
    assert {row.mean_rank_low for row in blocks[0].rows} == {None}
    assert "[" not in "".join(line for line in as_table(blocks).splitlines() if line.lstrip().startswith("1"))


def test_the_table_of_scores_is_readable_at_the_width_of_a_file():
    """No number is cut, however long the configurations are."""
    labels = names(30)
    runs = [
        stored(
            f"grnflow_any_order_{k}",
            alike(noisy(k)),
            labels=labels,
            configuration="attention_source=coexpression, order=expression_first",
            fallbacks="13",
            coverage="0.7234",
        )
        for k in range(3)
    ]
    text = as_table(build_board(runs), width=WIDTH)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    (block,) = build_board(runs)
    for row in block.rows:
        for name in HEADLINE:
            assert f"[{row.metrics[name].low:.3f}, {row.metrics[name].high:.3f}]" in text
    assert " 72%    13 " in text


@pytest.mark.parametrize("trials", ["0", "120"])
def test_the_last_columns_are_whole_where_all_columns_are_wide(trials):
    """Ranks of two digits, intervals around 0, long trainings: headings and numbers stand as they are."""
    labels = names(30)
    runs = [
        stored(
            f"method_with_a_long_name_{k}",
            {name: list(noisy(k) - 0.01) for name in HEADLINE},
            labels=labels,
            seconds="1234.56",
            fallbacks="39",
            coverage="0.7234",
            tuning_trials=trials,
            tuning_seconds="98765",
        )
        for k in range(14)
    ]
    lines = as_table(build_board(runs), width=WIDTH).splitlines()
    assert max(map(len, lines)) <= WIDTH
    heading = " ".join(lines[1:5])
    for word in ("rank", "seeds", "backs", "onds", *(["tuned"] if trials != "0" else [])):
        assert f"{word} " in f"{heading} "
    text = "\n".join(lines)
    assert text.count("1234.6") == 14
    assert text.count("98765 s") == (14 if trials != "0" else 0)
    assert "…" not in text


@pytest.mark.parametrize(("width", "of_headline"), [(40, 1), (80, 4), (110, 4)])
def test_a_narrow_terminal_gets_whole_names_and_means_and_is_told_what_is_left_out(width, of_headline):
    labels = names(30)
    runs = [stored(f"method_{'long' * k}_{k}", alike(noisy(k)), labels=labels) for k in range(3)]
    (block,) = build_board(runs)
    lines = as_table([block], width=width).splitlines()
    assert max(map(len, lines)) <= width
    for row in block.rows:
        (line,) = [line for line in lines if f" {row.method} " in line]
        for name in HEADLINE[:of_headline]:
            assert f" {row.metrics[name].mean:.3f}" in line
    said = " ".join(line.strip() for line in lines)
    assert "left out for want of room: intervals" in said
    assert ("seconds" in said.partition("left out")[2]) == (width < 110)


def test_with_room_nothing_is_left_out():
    runs = [stored(f"method_{k}", alike(noisy(k)), labels=names(30)) for k in range(2)]
    text = as_table(build_board(runs), width=WIDTH)
    assert "left out for want" not in text
    assert text.count("[") >= 2 * len(HEADLINE)


def test_what_a_reader_must_know_of_noise_and_controls_is_said_below_the_table():
    counts = json.dumps({"given": 5, "scored": 6, "needed": 90})
    runs = [
        stored("drawn", alike([0.1, 0.2]), sampling_noise="0.00123", controls=counts),
        stored("known", alike([0.2, 0.2]), controls=counts),
    ]
    text = as_markdown(build_board(runs))
    assert "- drawn draws its cells, which adds 0.0012 to its mse" in text
    assert "known draws" not in text
    assert "- 5 control cells for methods, 6 others for real changes: too few" in text


def test_rows_whose_trainings_differ_are_named_with_the_share():
    """Three trainings, all perturbations in each; those of one row differ by much more than chance."""
    labels, rng = names(12), np.random.default_rng(0)
    of_perturbations = rng.normal(0, 0.02, 12)
    runs = [
        stored(name, alike(of_perturbations + level + rng.normal(0, 0.01, 12)), seed=seed, labels=labels)
        for name, levels in (("steady", (0, 0, 0)), ("moody", (-0.2, 0.0, 0.2)))
        for seed, level in enumerate(levels)
    ]
    (block,) = build_board(runs)
    rows = {row.method: row for row in block.rows}
    assert rows["moody"].training_share > 0.9
    assert rows["steady"].training_share < 0.5
    (note,) = [note for note in notes(block) if "trainings and perturbations" in note]
    assert f"moody {rows['moody'].training_share:.0%}" in note
    wide, narrow = (rows[name].metrics["mse"] for name in ("moody", "steady"))
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_the_error_without_noise_stands_beside_the_error_and_ranks_nobody():
    extra = [{"mse_unbiased": [0.3, 0.1]}, {"mse_unbiased": [0.0, 0.1]}]
    runs = [stored(name, alike([0.2, place]) | extra[place]) for place, name in enumerate("ab")]
    blocks = build_board(runs, metrics=SHOWN)
    header = next(line for line in as_markdown(blocks).splitlines() if line.startswith("| rank | method"))
    assert header.index("mse ↓") < header.index("mse_unbiased ↓") < header.index("pearson ↑")
    assert blocks[0].rows[0].method == "b"
    assert set(blocks[0].rows[0].against_next) == set(HEADLINE)
    of_mse = next(each for each in verdict(blocks[0])["metrics"] if each["metric"] == "mse")
    assert of_mse["sentences"][-1] == "Without the noise of the real means (mse_unbiased): 0.05 (b), 0.2 (a)."


def test_a_rounded_zero_has_no_sign():
    text = as_markdown(build_board([stored("a", alike([0.0, 0.0]) | {"pearson": [-1e-9, -1e-9]})]))
    assert "-0.0000" not in text
