"""What stands in the report of the order experiment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmark.records.tracking import Tracker
from benchmark.studies.order.arms import OF_TOLD, ORACLE, REFERENCES, of_latent, of_orders
from benchmark.studies.order.criteria import criteria
from benchmark.studies.order.execute import execute
from benchmark.studies.order.findings import gather
from benchmark.studies.order.plan import make_plan
from benchmark.studies.order.power import smallest_found
from benchmark.studies.order.provenance import command
from benchmark.studies.order.report import as_markdown, title
from benchmark.studies.order.statistics import compare, scores_of, turned
from tests.studies.order.order_case import (
    experiment,
    read_records,
    with_one_simple_method,
    with_truth,
    write_case,
)

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def options(home) -> list[str]:
    return write_case(home)


def test_auto_is_named_as_the_split_that_suits_the_data_and_asked_for_again_as_it_was(home, options):
    findings = gather(make_plan(experiment(home, split="auto")), Tracker())
    assert title(findings).endswith("tiny, split doubles")
    assert "--split auto" in command(findings.plan.experiment)


@pytest.mark.slow
def test_the_criteria_are_written_without_any_result(home, options):
    plan = make_plan(experiment(home))
    before = criteria(plan)
    execute(plan, Tracker())
    text = as_markdown(gather(plan, Tracker()), Path("figure.md"))
    assert text.split("\n\n", 1)[1].startswith(before)
    for word in ("**supported**", "**refuted**", "**open**", "at least 3 of the 4", "Holm", "Wilcoxon"):
        assert word in before
    assert "at most 0.02 below that of a ridge" in before
    # What must hold before anything is concluded is said before what would be.
    assert 0 < before.index("learned too little") < before.index("not behind `main_effects`")
    assert before.index("not behind `main_effects`") < before.index("**supported**")


def test_the_criteria_tell_of_the_positive_control_or_why_there_is_none(home, options, monkeypatch):
    without = criteria(make_plan(experiment(home)))
    assert "the answer can be no more than *open*" in without
    assert "[the report of `simulated`](order-simulated.md)" in without
    with_truth(monkeypatch)
    known = criteria(make_plan(experiment(home, sources=(), without_latent="none")))
    assert "**this experiment could not have found an effect**" in known
    assert "no more than *open*" not in known
    assert "without any latent" not in known


@pytest.mark.slow
def test_with_a_truth_both_sources_are_judged_by_what_the_oracle_shows(home, options, monkeypatch):
    """Three test perturbations: nothing is significant, so the positive control cannot come out ahead."""
    with_one_simple_method(monkeypatch)
    with_truth(monkeypatch)
    plan = make_plan(experiment(home, sources=(), without_latent="none"))
    execute(plan, Tracker())
    found = gather(plan, Tracker())
    assert list(found.verdicts) == ["pretrained", "regression"]
    for verdict in found.verdicts.values():
        assert [each.holds for each in verdict.preconditions] == [True, True, True, False, False]
        assert verdict.answer == "open"
        assert verdict.reason.endswith("this experiment could not have found an effect")
    assert {OF_TOLD, *of_orders(ORACLE)} <= set(found.comparisons)
    text = as_markdown(found, Path("f.md")).split("## Answer")[1].split("##")[0]
    assert "| R² 0.500 against 0.500 | yes |" in text
    assert "| R² 1.000 (costs 0.000) | yes |" in text


@pytest.mark.slow
def test_tables_hold_the_statistics_of_the_recorded_scores(home, options):
    plan = make_plan(experiment(home, seeds=2))
    execute(plan, Tracker())
    found = gather(plan, Tracker())
    records = read_records(plan)
    arms = {
        arm: {
            each.task.coordinates.seed: scores_of(records[each.key])
            for each in plan.predictions
            if each.arm == arm
        }
        for pair in (*of_orders("pretrained"), of_latent("pretrained"))
        for arm in pair
    }
    text = as_markdown(found, Path("figure.md"))
    for pair in (*of_orders("pretrained"), of_latent("pretrained")):
        section = text.split(f"### {pair.first.label} against {pair.second.label}\n")[1].split("###")[0]
        for each in compare(arms[pair.first], arms[pair.second]):
            heading = f"| {turned(each.metric)} |"
            (row,) = [line for line in section.splitlines() if line.startswith(heading)]
            least = f"{smallest_found(each.deviation, each.n):.2g}"
            assert f"| {each.mean:+.3g} [{each.low:+.3g}, {each.high:+.3g}] | {least} | {each.p:.2g} |" in row
            assert f"| {each.n} | {each.undefined} |" in row
    assert len(plan.comparisons) == len(found.comparisons) == 5


def test_the_answer_names_every_precondition_and_every_decisive_comparison(home, options, monkeypatch):
    with_one_simple_method(monkeypatch)
    plan = make_plan(experiment(home))
    (home / "fail-noise").touch()
    execute(plan, Tracker())
    answer = as_markdown(gather(plan, Tracker()), Path("f.md")).split("## Answer")[1].split("##")[0]
    first, *lines = [line for line in answer.splitlines() if line.startswith("- ")]
    assert first == (
        '- **"Understanding the network\'s change comes first", with pretrained as source, is open: no truth '
        "is known of these data, so there is no positive control.**"
    )
    assert [line[2:].rpartition(":")[0] for line in lines] == [
        "pretrained: latent_first − expression_first",
        "pretrained: latent_first − joint",
        "pretrained − wrong",
        "pretrained − noise",
    ]
    assert [line.endswith("not made in every seed") for line in lines] == [False] * 3 + [True]
    rows = [line for line in answer.splitlines() if line.startswith("| pretrained |")]
    assert [row.split("|")[2].strip() for row in rows] == [
        "`latent_first` is not behind `main_effects`",
        "the latent of a double is predicted no worse than by a ridge",
        "the flow generates the latent that it is told",
        "a positive control comes out ahead",
    ]
    assert [row.split("|")[-2].strip() for row in rows] == ["yes", "yes", "yes", "cannot be judged"]


@pytest.mark.slow
def test_means_of_simple_methods_stand_beside_those_of_the_arms(home, options):
    plan = make_plan(experiment(home, sources=("pretrained",)))
    assert "No simple method is recorded" in as_markdown(gather(plan, Tracker()), Path("f.md"))
    execute(plan, Tracker())
    text = as_markdown(gather(plan, Tracker()), Path("f.md")).split("## Mean scores")[1]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(REFERENCES)
    (same,) = [line for line in text.splitlines() if line.startswith("| pretrained, latent_first | 0")]
    # Without an order's error the fake method is the additive one.
    assert rows[REFERENCES.index("additive")].split("|")[2:] == same.split("|")[2:]


@pytest.mark.slow
def test_data_splits_and_configurations_are_in_the_report(home, options):
    plan = make_plan(experiment(home, seeds=2, sources=("pretrained",), settings={"steps": "30"}))
    execute(plan, Tracker())
    text = as_markdown(gather(plan, Tracker()), Path("f.md")).split("## How it was made")[1]
    for prediction in plan.predictions:
        at = prediction.task.coordinates
        for digest in (at.dataset_digest, at.split_digest, at.config_digest, at.source_digest):
            assert digest[:10] in text
    assert "- `fake_flow`, version 2, code digest" in text
    assert text.count("configuration steps=30.") == 2
    assert f"python {sys.version.split()[0]}" in text


def test_the_command_in_the_report_is_what_was_typed(home):
    usual = experiment(home, sources=(), method="grnflow_any_order", without_latent="scdfm", cells=256)
    assert command(usual) == ("python -m benchmark order --dataset tiny --seeds 1")
    found = command(experiment(home, controls=("random",), preset="small", settings={"steps": "3"}))
    assert found.endswith(
        "--sources pretrained --controls random --method own.py:Flow --without-latent own.py:Plain "
        "--set steps=3"
    )
    assert "--preset small" in found
    assert str(home) not in found
