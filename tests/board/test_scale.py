"""Scaled scores: 0 is the train mean, 1 the replicate ceiling, and what cannot discriminate stands apart."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.board import HEADLINE, build_board
from benchmark.board.export import as_csv
from benchmark.board.scale import is_flat
from benchmark.board.text import as_markdown, as_table
from tests.board.board_case import alike, names, stored

nan = float("nan")


def scaled_of(method, *runs):
    """The scaled scores of one row."""
    (block,) = build_board(runs)
    return next(row for row in block.rows if row.method == method).scaled


def test_scores_are_scaled_by_hand_in_both_directions():
    """(.5 - .2) / (.8 - .2) and (.9 - .1) / (.6 - .1); of mse (.4 - 1) / (.2 - 1) and (.1 - 1) / (.2 - 1)."""
    found = scaled_of(
        "a",
        stored("a", {"pearson": [0.5, 0.9], "mse": [0.4, 0.1]}),
        stored("train_mean", {"pearson": [0.2, 0.1], "mse": [1.0, 1.0]}),
        stored("limit", {"pearson": [0.8, 0.6], "mse": [0.2, 0.2]}),
    )
    assert found["pearson"].mean == pytest.approx((0.5 + 1.6) / 2)
    assert found["mse"].mean == pytest.approx((0.75 + 1.125) / 2)
    mse = found["mse"]
    assert (mse.n, mse.missing, mse.flat, mse.flat_mean) == (2, 0, 0, None)
    assert (mse.low, mse.high) == (None, None)  # of two perturbations nobody knows an interval


def test_nothing_is_clipped():
    for value, expected in ((3.0, -4.0), (0.0, 2.0)):
        found = scaled_of(
            "a",
            stored("a", {"mse": [value, value]}),
            stored("train_mean", {"mse": [1.0, 1.0]}),
            stored("limit", {"mse": [0.5, 0.5]}),
        )
        assert found["mse"].mean == pytest.approx(expected)


def test_the_baseline_is_at_0_and_the_ceiling_at_1():
    runs = [stored("train_mean", alike([0.1, 0.2])), stored("limit", alike([0.4, 0.3]))]
    for method, value in (("train_mean", 0.0), ("limit", 1.0)):
        assert [scaled_of(method, *runs)[name].mean for name in HEADLINE] == pytest.approx([value] * 4)


def test_what_cannot_discriminate_is_left_out_counted_and_averaged_on_its_own():
    """Of pearson, with best 1: gains of .3 of .5; .04 of .5 (8 %); none; below the baseline."""
    labels = names(4)
    found = scaled_of(
        "a",
        stored("a", {"pearson": [0.65, 0.9, 0.3, 0.6]}, labels=labels),
        stored("train_mean", {"pearson": [0.5, 0.5, 0.5, 0.5]}, labels=labels),
        stored("limit", {"pearson": [0.8, 0.54, 0.5, 0.4]}, labels=labels),
    )["pearson"]
    assert found.mean == pytest.approx(0.5)
    assert (found.n, found.flat, found.missing) == (1, 3, 0)
    assert found.flat_mean == pytest.approx((0.9 + 0.3 + 0.6) / 3)


def test_where_nothing_discriminates_there_is_no_scaled_mean():
    runs = [
        stored("a", {"mse": [0.5, 0.7]}),
        stored("train_mean", {"mse": [1.0, 0.0]}),  # the second is perfect: no range is left
        stored("limit", {"mse": [1.5, 0.0]}),
    ]
    found = scaled_of("a", *runs)["mse"]
    assert (found.mean, found.low, found.n, found.flat) == (None, None, 0, 2)
    assert found.flat_mean == pytest.approx(0.6)
    assert "‡2: 0.600" in as_markdown(build_board(runs))


def test_a_tenth_of_the_range_is_enough_and_less_is_not():
    """mse, best 0: the gain has to be a tenth of the baseline."""
    one = np.array([[[4.0]]])
    assert not is_flat(["mse"], one, one * 0.875).item()
    assert is_flat(["mse"], one, one * 0.9375).item()


@given(
    st.sampled_from(["mse", "pearson"]),
    st.floats(0.001, 1),
    st.floats(0.001, 1),
)
def test_a_flat_perturbation_is_one_with_a_small_dynamic_range_fraction(name, baseline, ceiling):
    """Miller et al. 2025, by the quotient as it is printed."""
    best = {"mse": 0.0, "pearson": 1.0}[name]
    if best == baseline:
        return
    fraction = (ceiling - baseline) / (best - baseline)
    if abs(fraction - 0.1) > 1e-9:
        flat = is_flat([name], np.array([[[baseline]]]), np.array([[[ceiling]]])).item()
        assert flat == (fraction < 0.1)


def test_an_undefined_score_or_bound_counts_as_missing():
    found = scaled_of(
        "a",
        stored("a", {"pearson": [nan, 0.5, 0.5]}, labels=names(3)),
        stored("train_mean", {"pearson": [0.0, nan, 0.0]}, labels=names(3)),
        stored("limit", {"pearson": [1.0, 1.0, 1.0]}, labels=names(3)),
    )["pearson"]
    assert (found.mean, found.n, found.missing, found.flat) == (0.5, 1, 2, 0)


def test_each_seed_is_scaled_by_its_own_bounds_and_seeds_without_are_left_out():
    found = scaled_of(
        "a",
        *(stored("a", alike([0.2, 0.2]), seed=seed) for seed in (0, 1, 2)),
        *(stored("train_mean", alike([0.0, 0.0]), seed=seed) for seed in (0, 1, 2)),
        stored("limit", alike([0.4, 0.4]), seed=0),
        stored("limit", alike([0.3, 0.3]), seed=2),
    )
    assert found["pearson"].mean == pytest.approx((0.5 + 2 / 3) / 2)
    assert found["pearson"].n == 4


def test_the_baseline_has_as_many_cells_as_the_row_and_the_newest_counts():
    runs = [
        stored("a", alike([0.2, 0.2]), cells="20"),
        stored("train_mean", alike([0.1, 0.1]), cells="20", started=3),
        stored("train_mean", alike([0.0, 0.0]), cells="20", started=2, method_version="0"),
        stored("train_mean", alike([-0.2, -0.2]), started=4),
        stored("limit", alike([0.3, 0.3])),
        stored("b", alike([0.2, 0.2]), cells="30"),
    ]
    assert scaled_of("a", *runs)["pearson"].mean == pytest.approx(0.5)
    assert scaled_of("b", *runs) == {}
    assert "| b, 30 cells | – | – | – | – |" in as_markdown(build_board(runs))


def test_scores_of_another_version_are_not_put_on_the_scale():
    def runs(version):
        return [
            stored("a", alike([0.2, 0.2]), metric_versions=json.dumps({"mse": version, "pearson": "1"})),
            *(
                stored(method, alike([value] * 2), metric_versions='{"mse": "1", "pearson": "1"}')
                for method, value in (("train_mean", 0.0), ("limit", 0.4))
            ),
        ]

    assert set(scaled_of("a", *runs("1"))) == set(HEADLINE)
    assert set(scaled_of("a", *runs("0"))) == set(HEADLINE) - {"mse"}


def test_a_metric_that_does_not_judge_has_no_scale():
    described = {"interval_coverage_95": [0.5, 0.6]}
    runs = [
        stored("a", alike([0.2, 0.2]) | described),
        stored("train_mean", alike([0.0, 0.0]) | described),
        stored("limit", alike([0.4, 0.4]) | described),
    ]
    assert set(scaled_of("a", *runs)) == set(HEADLINE)


def test_without_a_ceiling_the_board_says_how_to_get_it():
    blocks = build_board(
        [stored("a", alike([0.2, 0.2]), seed=3), stored("train_mean", alike([0, 0]), seed=3)]
    )
    text = as_table(blocks, "scaled", width=400)
    assert "Nothing is scaled" in text
    assert "not recorded: limit (seeds 3), ceiling (seeds 3), no_change (seeds 3), additive (seeds 3)" in text
    assert "--split doubles --seed 3` records all of seed 3" in text


def test_a_board_with_all_anchors_asks_for_nothing():
    anchors = ("no_change", "train_mean", "additive", "limit", "ceiling")
    (block,) = build_board([stored(method, alike([0.1, 0.2])) for method in anchors])
    text = as_markdown([block])
    assert "not recorded" not in text
    assert "limit is no method" in text


def test_the_ceiling_stands_at_the_top_and_takes_part_in_no_rank_or_test():
    runs = [
        stored("a", alike([0.1, 0.1])),
        stored("limit", alike([0.3, 0.3])),
        stored("b", alike([0.2, 0.2])),
    ]
    (block,) = build_board(runs)
    assert [(row.method, row.rank) for row in block.rows] == [("limit", None), ("b", 1), ("a", 2)]
    assert [row.next_row for row in block.rows] == ["", "a", ""]
    assert block.seeds == [0]
    assert "| – | limit |" in as_markdown([block])


def test_a_ceiling_that_failed_is_only_mentioned():
    runs = [stored("a", alike([0.1, 0.1])), stored("limit", {}, status="failed", reason="too few cells")]
    text = as_markdown(build_board(runs))
    assert "- unranked: limit, seed 0, failed: too few cells" in text
    assert "limit is no method" not in text


def test_csv_carries_the_scaled_scores_of_every_metric():
    extra = {"calibration_error": [0.2, 0.3]}
    runs = [
        stored("a", alike([0.2, 0.2]) | extra),
        stored("train_mean", alike([0.0, 0.0]) | {"calibration_error": [0.4, 0.4]}),
        stored("limit", alike([0.4, 0.4])),
        stored("ceiling", alike([0.3, 0.3]) | {"calibration_error": [0.0, 0.39]}),
    ]
    line = next(
        line for line in csv.DictReader(io.StringIO(as_csv(build_board(runs)))) if line["method"] == "a"
    )
    assert float(line["calibration_error_scaled_mean"]) == pytest.approx(0.5)
    assert (line["calibration_error_scaled_flat"], line["calibration_error_scaled_flat_mean"]) == ("1", "0.3")
    (block,) = build_board(runs, metrics=HEADLINE)
    assert set(block.rows[2].scaled) == set(block.rows[2].metrics) == set(HEADLINE)
