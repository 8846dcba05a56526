"""The simple methods of the order experiment: run once, before anything that is expensive, and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.records.tracking import Tracker
from benchmark.runs.request import Request, prepare
from benchmark.runs.run import run
from benchmark.studies.order import plan as planning
from benchmark.studies.order.arms import BAR, LATENT_FIRST, NO_LATENT, REFERENCES, Arm, of_latent
from benchmark.studies.order.execute import execute
from benchmark.studies.order.findings import gather
from benchmark.studies.order.plan import make_plan
from benchmark.studies.order.report import as_markdown
from benchmark.studies.order.statistics import compare, scores_of
from methods.linear import Linear
from tests.studies.order.order_case import experiment, fits, kept, log, read_records, write_case

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def case(home) -> Path:
    write_case(home)
    return home


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second order."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def runs_of(method: str) -> int:
    return sum(run.tags["method"] == method for run in Tracker().runs())


def test_every_simple_method_is_what_the_command_run_would_do_in_every_seed(case):
    """Settings and presets belong to the two methods of the experiment; the simple ones stay as they are."""
    plan = make_plan(experiment(case, seeds=2, preset="small", settings={"steps": "30"}))
    expected = [
        prepare(Request(method=name, dataset="tiny", seed=seed, cells=20)).coordinates
        for seed in range(2)
        for name in ("main_effects", "linear", "additive", "train_mean", "no_change")
    ]
    assert [each.task.coordinates for each in plan.simple] == expected
    assert {id(each.task.dataset) for each in plan.all_predictions} == {id(plan.predictions[0].task.dataset)}


def test_they_are_recorded_before_the_first_training_is_done(case):
    (case / "interrupt-pretrained").touch()
    with pytest.raises(KeyboardInterrupt):
        execute(make_plan(experiment(case)), Tracker())
    finished = [each.tags["method"] for each in Tracker().runs() if each.status == "finished"]
    assert sorted(finished) == sorted(REFERENCES)
    assert fits(case) == ["fit pretrained 0 40"]


@pytest.mark.slow
def test_they_are_run_once_and_a_run_that_is_there_counts(case):
    run(Request(method="additive", dataset="tiny", cells=20))
    run(Request(method="linear", dataset="tiny", cells=10))
    plan = make_plan(experiment(case))
    for _ in range(2):
        assert execute(plan, Tracker()) == []
    assert {name: runs_of(name) for name in REFERENCES} == {
        "main_effects": 1,
        "linear": 2,
        "additive": 1,
        "train_mean": 1,
        "no_change": 1,
    }
    assert kept(case) == []


@pytest.mark.slow
def test_one_that_fails_is_reported_and_resumed_and_the_rest_goes_on(case, monkeypatch, caplog):
    def fail(self, train, validation):
        raise BenchmarkError("no linear today")

    plan = make_plan(experiment(case))
    with monkeypatch.context() as patch:
        patch.setattr(Linear, "fit", fail)
        missing = execute(plan, Tracker())
    assert [each.prediction.label for each in missing] == ["linear, seed 0"]
    assert "Failed: linear, seed 0 (BenchmarkError: no linear today)" in caplog.text
    found = gather(plan, Tracker(), missing)
    assert list(found.beside["pretrained"]) == [name for name in REFERENCES if name != "linear"]
    assert len(found.comparisons) == 5
    text = as_markdown(found, Path("f.md"))
    assert "- linear, seed 0: BenchmarkError: no linear today" in section(text, "What is missing")
    before = log(case)
    assert execute(plan, Tracker()) == []
    assert log(case) == before
    assert runs_of("main_effects") == 1
    assert gather(plan, Tracker()).missing == []


@pytest.mark.slow
def test_a_simple_method_that_is_also_the_one_without_a_latent_is_run_once(case):
    plan = make_plan(experiment(case, without_latent="additive"))
    assert execute(plan, Tracker()) == []
    assert runs_of("additive") == 1
    found = gather(plan, Tracker())
    assert found.missing == []
    assert found.comparisons[of_latent("pretrained")] == found.beside["pretrained"]["additive"]
    assert list(found.records[NO_LATENT]) == [0]


@pytest.mark.slow
def test_the_table_holds_the_paired_differences_from_each_and_the_figure_none(case):
    plan = make_plan(experiment(case, seeds=2))
    execute(plan, Tracker())
    found = gather(plan, Tracker())
    report = as_markdown(found, Path("f.md"))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(report, "Where it stands beside simple methods").splitlines()
        if line.startswith("| pretrained")
    ]
    assert [row[:2] for row in rows] == [["pretrained", f"`{name}`"] for name in REFERENCES]
    records = read_records(plan)

    def scores(arm):
        return {
            each.task.coordinates.seed: scores_of(records[each.key])
            for each in plan.all_predictions
            if each.arm == arm
        }

    for row, name in zip(rows, REFERENCES, strict=True):
        (arm,) = {each.arm for each in plan.simple if each.task.coordinates.method == name}
        assert row[2:] == [
            *(
                f"{each.mean:+.3g} [{each.low:+.3g}, {each.high:+.3g}]" if each.n else "undefined"
                for each in compare(scores(Arm("pretrained", LATENT_FIRST)), scores(arm))
            ),
            "0, 1",
        ]
    # Without an order's error the fake method is the additive one.
    assert rows[REFERENCES.index("additive")][2:] == ["+0 [+0, +0]"] * 4 + ["0, 1"]
    assert set(found.comparisons) == set(plan.comparisons)


@pytest.mark.slow
def test_without_runs_of_the_bar_it_cannot_be_judged(case, monkeypatch):
    monkeypatch.setattr(planning, "REFERENCES", tuple(name for name in REFERENCES if name != BAR))
    plan = make_plan(experiment(case))
    execute(plan, Tracker())
    verdict = gather(plan, Tracker()).verdicts["pretrained"]
    assert verdict.answer == "open"
    assert verdict.preconditions[0].holds is None
    assert verdict.reason.startswith("it cannot be judged whether it is behind main_effects; ")
