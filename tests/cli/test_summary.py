"""What is printed after a run: the headline metrics beside what they have to be compared with."""

from __future__ import annotations

import pytest

from benchmark.board.rows import HEADLINE
from benchmark.cli.summary import print_summary
from benchmark.records.tracking import Tracker
from benchmark.runs.run import run
from tests.tiny import PATH_OPTIONS, request


def printed(type_, screen, *options) -> list[str]:
    """The lines of the table, each split at spaces."""
    code, out, _ = type_("run", "--dataset", screen, *PATH_OPTIONS, "--cells", 20, *options)
    assert code == 0
    return [line.split() for line in out.splitlines()]


@pytest.mark.usefixtures("store")
def test_a_run_is_shown_beside_train_mean_the_best_simple_row_and_the_limit(type_, screen):
    for method in ("additive", "main_effects"):
        run(request(screen, method))
    lines = printed(type_, screen, "--method", "linear")
    heading = next(line for line in lines if line[:1] == ["metric"])
    assert heading[1:3] == ["linear", "train_mean"]
    assert heading[-1] == "limit"
    means = {row.tags["method"]: Tracker().record(row.run_id).metrics for row in Tracker().runs()}
    best = min(("additive", "main_effects"), key=lambda name: means[name]["mse"].mean)
    assert [best] in lines
    mse = next(line for line in lines if line[:1] == ["mse"])
    for shown, method in zip([mse[2], *mse[-3:]], ["linear", "train_mean", best, "limit"], strict=True):
        assert float(shown) == pytest.approx(means[method]["mse"].mean, abs=6e-4)
    assert not any(line[:1] == ["mae"] for line in lines)


@pytest.mark.usefixtures("store")
def test_all_shows_every_metric(type_, screen):
    lines = printed(type_, screen, "--method", "additive", "--no-anchors", "--all")
    assert any("mae" in line for line in lines)


@pytest.mark.usefixtures("store")
def test_a_run_that_is_no_row_of_a_board_is_shown_alone_where_nothing_else_was_run(screen, capsys):
    record, _ = run(request(screen, "main_effects", train_share=0.5))
    print_summary(record, Tracker().runs())
    lines = capsys.readouterr().out.splitlines()
    assert ["metric", "main_effects"] in [line.split() for line in lines]
    for name in HEADLINE:
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert float(line.split()[2]) == pytest.approx(record.metrics[name].mean, abs=6e-4)
    assert max(map(len, lines)) <= 80
