"""What a sweep is asked for becomes runs, each once; what comes of them is counted once."""

from __future__ import annotations

import pytest
from filelock import Timeout

from benchmark.errors import BenchmarkError
from benchmark.runs.claims import claimed
from benchmark.sweep import drive as driving
from benchmark.sweep.drive import drive
from benchmark.sweep.job import Job, Outcome
from benchmark.sweep.plan import Plan, read_seeds, ready_methods
from benchmark.sweep.table import ProgressTable


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0", (0,)), ("0-4", (0, 1, 2, 3, 4)), ("3,1", (3, 1)), ("0-2, 2,7-8", (0, 1, 2, 7, 8)), ("5-5", (5,))],
)
def test_seeds_are_read_as_people_write_them(text, seeds):
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "4-0", "1-", "-1", "1;2", "0.5"])
def test_other_seeds_are_refused(text):
    with pytest.raises(BenchmarkError, match="seeds are written as 0-4"):
        Plan.build(None, {"methods": ("additive",), "seeds": text})


def test_every_combination_is_one_run():
    plan = Plan(
        methods=("linear", "main_effects"), datasets=("simulated", "norman19"), seeds=(0, 1), anchors=False
    )
    jobs = plan.jobs()
    assert {(job.method, job.dataset, job.seed) for job in jobs} == {
        (method, dataset, seed)
        for method in ("linear", "main_effects")
        for dataset in ("simulated", "norman19")
        for seed in (0, 1)
    }
    assert len(jobs) == 8


def test_runs_on_the_same_cells_follow_each_other():
    jobs = Plan(methods=("linear", "additive"), datasets=("norman19", "simulated"), seeds=(0, 1)).jobs()
    places = [(job.dataset, job.seed) for job in jobs]
    assert places == sorted(places)


def test_anchors_are_part_of_it_once_each_and_first():
    jobs = Plan(methods=("additive", "linear"), seeds=(0,)).jobs()
    assert [job.method for job in jobs] == [
        "no_change",
        "train_mean",
        "additive",
        "limit",
        "ceiling",
        "linear",
    ]


def test_a_preset_is_for_the_methods_that_have_it():
    jobs = Plan(methods=("linear", "scdfm"), preset="smoke", anchors=False).jobs()
    assert {job.method: job.preset for job in jobs} == {"linear": None, "scdfm": "smoke"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"methods": ("no_such",)}, "no_such"),
        ({"methods": ("linear",), "splits": ("halves",)}, "halves"),
        ({"methods": ("linear",), "preset": "smoke"}, "smoke"),
        ({"methods": ("linear",), "settings": {"depth": 3}}, "depth"),
        ({"methods": ("linear",), "datasets": ("simulated", "no_such")}, "no_such"),
        ({"methods": ("linear",), "samples": 0}, "At least 1 sample"),
        ({"methods": ("linear",), "device": "abacus"}, "abacus"),
        ({"methods": ("linear", "additive"), "seeds": range(60_000), "anchors": False}, "120,000 runs"),
    ],
)
def test_what_does_not_exist_is_said_before_anything_runs(wrong, said):
    with pytest.raises(BenchmarkError, match=said):
        Plan(**wrong).jobs()


def test_all_means_every_method_that_is_ready():
    names = {job.method for job in Plan(methods=("all",), anchors=False).jobs()}
    assert names == set(ready_methods()) >= {"no_change", "linear", "grnflow_sparse_pca"}


def test_a_file_says_the_same_as_options_and_options_go_before(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text('methods = ["linear"]\nseeds = "0-2"\ncells = 30\n[settings]\nrank = 3\n')
    plan = Plan.build(file, {"cells": 40})
    assert (plan.methods, plan.seeds, plan.cells, plan.settings) == (("linear",), (0, 1, 2), 40, {"rank": 3})


@pytest.mark.parametrize(
    ("text", "said"), [("methods = [", "cannot be read"), ('method = ["linear"]', "a sweep takes methods")]
)
def test_a_wrong_file_is_one_sentence(tmp_path, text, said):
    file = tmp_path / "sweep.toml"
    file.write_text(text)
    with pytest.raises(BenchmarkError, match=said):
        Plan.build(file, {})


JOBS = [Job(method=name, dataset="d", split="doubles", seed=0, cells=2) for name in "abc"]


class Script:
    """An executor that answers what a script says, one job at a time."""

    def __init__(self, **answers):
        self.answers = {name: list(states) for name, states in answers.items()}
        self.asked = []
        self.now = None

    def has_room(self):
        return self.now is None

    def submit(self, number, job):
        self.asked.append(job.method)
        self.now = number

    def wait(self, seconds):
        number, self.now = self.now, None
        assert number is not None, "asked while nothing is under way"
        return [(number, Outcome(self.answers[JOBS[number].method].pop(0)))]

    def close(self):
        pass


def driven(script):
    seen = []
    return drive(JOBS, script, lambda number, outcome: seen.append((number, outcome.state))), seen


def test_what_a_lost_worker_did_is_done_again_and_told_once():
    script = Script(a=["done"], b=["lost", "lost", "done"], c=["before"])
    outcomes, seen = driven(script)
    assert [outcome.state for outcome in outcomes] == ["done", "done", "before"]
    assert script.asked == ["a", "b", "c", "b", "b"]
    assert sorted(seen) == [(0, "done"), (1, "done"), (2, "before")]


def test_a_run_whose_worker_is_always_lost_fails():
    outcomes, _ = driven(Script(a=["lost"] * 3, b=["done"], c=["done"]))
    assert [outcome.state for outcome in outcomes] == ["failed", "done", "done"]
    assert outcomes[0].reason.startswith("its worker ended 3 times")


def test_a_run_that_another_process_does_is_asked_for_again_later(monkeypatch):
    monkeypatch.setattr(driving, "ELSEWHERE", 0.01)
    script = Script(a=["elsewhere", "elsewhere", "before"], b=["done"], c=["failed"])
    outcomes, seen = driven(script)
    assert [outcome.state for outcome in outcomes] == ["before", "done", "failed"]
    assert len(seen) == 3


def test_a_claim_is_held_by_one_at_a_time():
    with claimed("k" * 64), claimed("other" * 10), pytest.raises(Timeout), claimed("k" * 64, wait=False):
        pass
    with claimed("k" * 64):
        pass


def test_the_table_counts_what_is_final():
    jobs = [
        Job(method="a", dataset=name, split="doubles", seed=seed, cells=2) for name in "xy" for seed in (0, 1)
    ]
    table = ProgressTable(jobs)
    for number, state in enumerate(("done", "failed", "before")):
        table.final(number, Outcome(state))
    shown = table.table()
    assert [list(column.cells) for column in shown.columns] == [["a"], ["2/2, 1 failed"], ["1/2"]]
    assert shown.title == "3 of 4 runs"
