"""`benchmark runs`: found by filters and ids, shown, taken away."""

from __future__ import annotations

import json

import pytest

from benchmark.records.tracking import Tracker
from benchmark.runs.request import prepare
from benchmark.runs.run import run
from tests.tiny import request


@pytest.fixture
def recorded(store, screen):
    """Two methods, and an attempt that failed."""
    done = [run(request(screen, method))[0] for method in ("additive", "train_mean")]
    at = prepare(request(screen, "linear")).coordinates
    with pytest.raises(ValueError, match="no"), Tracker().recording(at):
        raise ValueError("no")
    return done


def listed(type_, *options) -> list[str]:
    return [row["method"] for row in json.loads(type_("runs", "--json", *options)[1])]


def test_runs_are_listed_newest_first_and_narrowed(recorded, type_):
    assert listed(type_) == ["linear", "train_mean", "additive"]
    assert listed(type_, "--state", "failed") == ["linear"]
    assert listed(type_, "--method", "additive") == ["additive"]
    assert listed(type_, "--seed", "1") == []
    out = type_("runs")[1]
    assert recorded[0].run_id[:8] in out
    assert "failed: ValueError: no" in out
    assert "No run has seed 1" in type_("runs", "--seed", "1")[1]
    code, _, err = type_("runs", "--state", "finshed")
    assert code == 2
    assert "did you mean 'finished'?" in err


def test_one_run_is_shown_by_the_beginning_of_its_id_whatever_came_of_it(recorded, type_):
    out = type_("runs", recorded[0].run_id[:6])[1]
    assert f"run {recorded[0].run_id}" in out
    assert "mse" in out
    assert json.loads(type_("runs", "additive", "--json")[1])["run_id"] == recorded[0].run_id
    assert "reason: ValueError: no" in type_("runs", "linear")[1]
    code, _, err = type_("runs", "additiv")
    assert code == 2
    assert "did you mean 'additive'?" in err


def test_failed_attempts_are_removed_when_it_is_confirmed(recorded, type_):
    code, _, err = type_("runs", "remove", "--state", "failed")
    assert code == 2
    assert "--yes" in err
    assert len(listed(type_)) == 3
    assert type_("runs", "remove", "--state", "failed", "--yes")[0] == 0
    assert listed(type_) == ["train_mean", "additive"]


def test_a_named_run_is_removed_alone_with_its_files(recorded, type_, home):
    code, out, _ = type_("runs", "remove", recorded[0].run_id[:8])
    assert code == 0
    assert recorded[0].run_id[:8] in out
    assert listed(type_) == ["linear", "train_mean"]
    assert not (home / "mlartifacts" / recorded[0].run_id).exists()
    assert (home / "mlartifacts" / recorded[1].run_id).exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [([], "Name runs by their ids"), (["zzzz"], "no run 'zzzz'"), ([""], "no run ''")],
)
def test_nothing_is_removed_by_mistake(recorded, type_, arguments, reason):
    code, _, err = type_("runs", "remove", *arguments)
    assert code == 2
    assert reason in err
    assert len(listed(type_)) == 3


def test_a_run_that_is_under_way_is_not_removed(store, screen, type_):
    with Tracker().recording(prepare(request(screen, "linear")).coordinates) as recording:
        code, _, err = type_("runs", "remove", recording.run_id)
    assert code == 2
    assert "is under way" in err
