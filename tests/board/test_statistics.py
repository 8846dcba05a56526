"""What the board says about differences and ranks holds where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, wilcoxon

from benchmark.board import HEADLINE, build_board
from benchmark.board.ranks import common_seeds
from benchmark.board.text import as_markdown, as_table
from benchmark.errors import BenchmarkError
from benchmark.evaluation.statistics import holm
from tests.board.board_case import BETTER, alike, names, stored

nan = float("nan")


def noisy(seed: int, n: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n)


def test_a_method_that_is_better_by_a_constant_is_found_better():
    values, labels = noisy(0), names(30)
    (block,) = build_board(
        [stored("best", alike(values + 0.01), labels=labels), stored("second", alike(values), labels=labels)]
    )
    best, last = block.rows
    assert (best.method, best.next_row, best.next_seeds) == ("best", "second", [0])
    for name in HEADLINE:
        found = best.against_next[name]
        assert (found.mean, found.low, found.high) == pytest.approx((0.01, 0.01, 0.01))
        assert found.n == 30
        assert found.corrected < 1e-4
    assert (last.next_row, last.against_next) == ("", {})


def test_all_rows_are_compared_with_one_that_is_named():
    """Also those without a rank, where they share a seed with it; corrected over all of these."""
    labels = names(30)
    values = {name: noisy(seed) for seed, name in enumerate(("a", "b", "alone", "elsewhere"))}
    runs = [
        stored(name, alike(values[name]), seed=seed, labels=labels)
        for name, seeds in (("a", (0, 1)), ("b", (0, 1)), ("alone", (0,)), ("elsewhere", (7,)))
        for seed in seeds
    ]
    (block,) = build_board(runs, against="b")
    rows = {row.method: row for row in block.rows}
    assert {name for name, row in rows.items() if row.next_row == "b"} == {"a", "alone"}
    assert rows["alone"].next_seeds == [0]
    assert rows["a"].next_seeds == [0, 1]
    for name in HEADLINE:
        assert rows["a"].against_next[name].mean == pytest.approx(np.mean(values["a"] - values["b"]))
    found = [each for name in ("a", "alone") for each in rows[name].against_next.values()]
    assert sorted(each.corrected for each in found) == pytest.approx(sorted(holm([each.p for each in found])))
    text = as_table([block], table="tests")
    assert "Mean difference of a method and 'b', positive where the method is better" in text


def test_a_row_that_is_nowhere_or_stands_for_several_cannot_be_compared_with():
    labels = names(8)
    runs = [
        stored("a", alike(noisy(seed, 8)), labels=labels, configuration=name, config_digest=name)
        for seed, name in enumerate(("narrow", "wide"))
    ]
    with pytest.raises(BenchmarkError, match=r"^There is no row 'c'"):
        build_board(runs, against="c")
    with pytest.raises(
        BenchmarkError, match=r"^'a' has 2 rows; name one as the board does: 'a \(narrow\)', 'a \(wide\)'\.$"
    ):
        build_board([*runs, stored("b", alike(noisy(2, 8)), labels=labels)], against="a")


def test_two_equal_methods_are_not_told_apart():
    """Noise of the same size on both: no corrected p-value below .05, and the intervals hold zero."""
    labels = names(30)
    (block,) = build_board(
        [stored(str(seed), alike(noisy(9) + noisy(seed)), labels=labels) for seed in (1, 2)]
    )
    for found in block.rows[0].against_next.values():
        assert found.corrected > 0.05
        assert found.low < 0 < found.high


def test_identical_rows_have_no_difference_at_all():
    (block,) = build_board([stored(name, alike(noisy(3)), labels=names(30)) for name in ("a", "b")])
    assert {(each.mean, each.low, each.high, each.p) for each in block.rows[0].against_next.values()} == {
        (0, 0, 0, 1)
    }


def test_p_values_are_those_of_scipy_on_differences_averaged_over_shared_seeds_and_corrected_by_holm():
    rng = np.random.default_rng(4)
    n, labels = 25, names(25)
    scores = {
        (method, seed): {name: rng.normal(0.5 + shift * BETTER[name], 0.2, n) for name in HEADLINE}
        for method, shift in (("a", 0.3), ("b", 0.2), ("c", 0.0))
        for seed in (0, 1)
    }
    del scores["b", 1], scores["c", 1]
    runs = [stored(method, each, seed=seed, labels=labels) for (method, seed), each in scores.items()]
    (block,) = build_board(runs)
    assert [row.method for row in block.rows] == ["a", "b", "c"]
    found = [row.against_next[name] for row in block.rows[:2] for name in HEADLINE]
    expected = [
        wilcoxon(BETTER[name] * (scores[upper, 0][name] - scores[lower, 0][name])).pvalue
        for upper, lower in (("a", "b"), ("b", "c"))
        for name in HEADLINE
    ]
    assert [each.p for each in found] == pytest.approx(expected, rel=1e-9)
    assert [each.corrected for each in found] == pytest.approx(holm(expected))
    assert [row.next_seeds for row in block.rows] == [[0], [0], []]


def test_a_perturbation_of_several_seeds_counts_once():
    """Four seeds with the same differences give the p-value of one."""
    labels = names(12)
    values = noisy(5, 12) + 0.05

    def p_values(seeds):
        runs = [
            stored(method, alike(base + values), seed=seed, labels=labels)
            for method, base in (("a", noisy(6, 12)), ("b", -values))
            for seed in seeds
        ]
        (block,) = build_board(runs)
        assert {each.n for each in block.rows[0].against_next.values()} == {12}
        return [each.p for each in block.rows[0].against_next.values()]

    assert p_values([0]) == pytest.approx(p_values([0, 1, 2, 3]))


def test_a_row_without_the_seeds_of_the_others_is_shown_and_not_ranked():
    """Whoever chose the seed would choose an easy one."""
    runs = [stored(name, alike([1, 2]), seed=seed) for name in ("a", "b") for seed in (0, 1)]
    (block,) = build_board([*runs, stored("easy", alike([3, 3]), seed=27)])
    assert [(row.method, row.rank) for row in block.rows] == [("a", 1), ("b", 1), ("easy", None)]
    assert block.rows[-1].reason.startswith("it has no run of seed 0, 1")
    assert block.rows[-1].against_next == {}
    text = as_table([block])
    assert "unranked: easy, seed 27" in text
    assert "3.500" in text


def test_one_row_of_one_seed_does_not_take_the_other_seeds_from_all():
    runs = [stored(name, alike([1, 2]), seed=seed) for name in ("a", "b") for seed in (0, 1, 2)]
    (block,) = build_board([*runs, stored("c", alike([3, 3]), seed=0)])
    assert [(row.method, row.rank) for row in block.rows] == [("a", 1), ("b", 1), ("c", None)]
    assert block.rows[-1].reason.startswith("it has no run of seed 1, 2")


def test_other_seeds_of_one_row_and_its_anchors_leave_the_others_ranked_and_it_is_said():
    """The anchors come with each seed, and have no say; nor has a second row that has more seeds."""
    first = [stored(name, alike([1, 2]), seed=0) for name in ("a", "b", "c", "train_mean", "no_change")]
    more = [
        stored(name, alike([1, 2]), seed=seed) for seed in (1, 2) for name in ("a", "train_mean", "no_change")
    ]
    for runs in ([*first, *more], [*first, *more, stored("b", alike([1, 2]), seed=1)]):
        (block,) = build_board(runs)
        assert [row.rank for row in block.rows] == [1] * 5
        assert block.rank_seeds == [0]
        assert "ranks compare seed 0, which all ranked rows have" in as_table([block])


@pytest.mark.parametrize(
    ("seeds", "compared"),
    [
        ([{0}, {0, 1}], {0}),
        ([{0, 1, 2, 3}, {0, 1, 2}, {1, 2, 0}, {0, 1}], {0, 1, 2}),
        ([{0, 1, 2}, {0, 1, 2}, {0}, {0}], {0}),
        ([{0, 1}, {0, 1}, {27}], {0, 1}),
        ([{3}, {2}], {2}),
        ([], set()),
    ],
)
def test_ranks_compare_what_all_have_or_three_that_most_share(seeds, compared):
    assert common_seeds(seeds, seeds) == compared


def test_submitted_rows_have_no_say_in_the_seeds():
    runs = [stored("mine", alike([1, 2]), seed=seed) for seed in (0, 1)]
    others = [stored(f"d{index}", alike([3, 3]), seed=0, configuration="submitted") for index in range(4)]
    (block,) = build_board([*runs, *others])
    assert [row.method for row in block.rows if row.rank is not None] == ["mine"]


def test_of_seeds_that_no_row_has_together_the_lowest_is_ranked_on():
    (block,) = build_board([stored("a", alike([1, 2]), seed=4), stored("b", alike([0, 1]), seed=3)])
    assert [(row.method, row.rank) for row in block.rows] == [("b", 1), ("a", None)]


def test_decoys_do_not_move_the_ranks_of_others():
    """Without them main is ahead of mine in three metrics of four; eight level with mine on the fourth."""
    better = alike([1, 2])
    mine = {**alike([0.9, 1.9]), "direction_balanced": [v + 1 for v in better["direction_balanced"]]}
    decoy = {**alike([-5, -5]), "direction_balanced": [v - 1e-3 for v in mine["direction_balanced"]]}
    decoys = [stored(f"d{index}", decoy, configuration="submitted") for index in range(8)]
    for crowd in ([], decoys):
        (block,) = build_board(
            [stored("main", better), stored("mine", mine, configuration="submitted"), *crowd]
        )
        found = {row.method: row.mean_rank for row in block.rows}
        assert (found["main"], found["mine"]) == (1.0, (2 + 1 + 2 + 2) / 4)


def test_submitted_rows_alone_are_ranked_among_themselves():
    runs = [stored(name, alike([x, x]), configuration="submitted") for name, x in (("a", 1), ("b", 2))]
    (block,) = build_board(runs)
    assert [(row.method, row.rank) for row in block.rows] == [("b", 1), ("a", 2)]


@pytest.mark.parametrize(("defined", "is_tested"), [(5, False), (6, True)])
def test_too_few_perturbations_are_said_and_not_tested(defined, is_tested):
    """Undefined ones do not count; the tests of other metrics go on."""
    values = noisy(7, 8)
    some = [*values[:defined], *[nan] * (8 - defined)]
    (block,) = build_board(
        [
            stored("a", alike(values + 0.3), labels=names(8)),
            stored("b", alike(values) | {"pearson": [0.5 + value for value in some]}, labels=names(8)),
        ]
    )
    found = block.rows[0].against_next["pearson"]
    assert found.n == defined
    assert (found.p is not None) == (found.low is not None) == is_tested
    assert found.mean == pytest.approx(0.3)
    assert (f"too few ({defined})" in as_markdown([block])) != is_tested
    tested = [each for each in block.rows[0].against_next.values() if each.p is not None]
    assert [each.corrected for each in tested] == holm([each.p for each in tested])


def test_the_interval_of_a_mean_rank_agrees_with_a_plain_loop():
    """Independent implementation: the same perturbations are drawn for all rows, which are ranked anew."""
    rng = np.random.default_rng(8)
    labels = names(15)
    scores = {
        method: {name: 0.5 + BETTER[name] * rng.normal(shift, 0.2, 15) for name in HEADLINE}
        for method, shift in (("a", 0.1), ("b", 0.05), ("c", 0.0))
    }
    (block,) = build_board([stored(method, each, labels=labels) for method, each in scores.items()])
    drawn = []
    for _ in range(4000):
        rows = rng.integers(0, 15, 15)
        losses = [[-BETTER[name] * each[name][rows].mean() for name in HEADLINE] for each in scores.values()]
        drawn.append(rankdata(losses, axis=0).mean(axis=1))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    for row in block.rows:
        index = list(scores).index(row.method)
        assert (row.mean_rank_low, row.mean_rank_high) == pytest.approx((low[index], high[index]), abs=0.26)
        assert row.mean_rank_low <= row.mean_rank <= row.mean_rank_high


def test_a_clear_order_has_intervals_without_width_and_a_single_row_is_first():
    values, labels = noisy(1), names(30)
    runs = [stored(str(k), alike(values + k), labels=labels) for k in range(3)]
    (block,) = build_board(runs)
    assert [(row.mean_rank, row.mean_rank_low, row.mean_rank_high) for row in block.rows] == [
        (1, 1, 1),
        (2, 2, 2),
        (3, 3, 3),
    ]
    (alone,) = build_board(runs[:1])[0].rows
    assert (alone.rank, alone.mean_rank_low, alone.mean_rank_high) == (1, 1, 1)
