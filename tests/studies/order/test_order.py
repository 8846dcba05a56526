"""The order experiment trains once, predicts in every order, and goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.board import build_board
from benchmark.errors import BenchmarkError
from benchmark.records.tracking import Tracker
from benchmark.runs.request import Request
from benchmark.runs.run import run
from benchmark.studies.order import saved
from benchmark.studies.order.arms import BAR, NO_LATENT, ORDERS, TOLD, Arm
from benchmark.studies.order.execute import execute
from benchmark.studies.order.plan import make_plan
from tests.studies.order.order_case import (
    experiment,
    fits,
    kept,
    log,
    read_records,
    with_truth,
    write_short_case,
)

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def case(home, monkeypatch) -> Path:
    return write_short_case(home, monkeypatch)


def test_a_seed_needs_one_training_per_source_and_one_without_latent(case):
    plan = make_plan(experiment(case, seeds=2, sources=(), controls=("random",)))
    sources = ("pretrained", "regression", "noise", "wrong", "random")
    assert [each.source for each in plan.trainings] == 2 * [*sources, "no latent"]
    assert len(plan.predictions) == 2 * (5 * 3 + 1)
    assert [each.source for each in plan.references] == 2 * [BAR]
    assert plan.arms == [*(Arm(source, order) for source in sources for order in ORDERS), NO_LATENT]
    assert (plan.tested, plan.controls) == (sources[:2], sources[2:])
    assert len({training.key for training in plan.trainings}) == 12
    assert len({id(each.task.dataset) for each in plan.predictions}) == 1


def test_where_the_truth_is_known_the_oracle_is_told_latents_besides(case, monkeypatch):
    with_truth(monkeypatch)
    plan = make_plan(experiment(case, sources=()))
    (oracle,) = [each for each in plan.trainings if each.source == "oracle"]
    assert [each.arm.order for each in oracle.predictions] == [*ORDERS, *TOLD]
    assert plan.tested == ("pretrained", "regression")
    assert "oracle: true_latent − wrong_latent" in [pair.label for pair in plan.comparisons]
    assert make_plan(experiment(case, sources=("regression",))).with_network == ["regression"]


def test_the_method_without_a_latent_may_be_left_out(case):
    plan = make_plan(experiment(case, without_latent="none", settings={"steps": "30"}))
    assert [each.source for each in plan.trainings] == ["pretrained", "noise", "wrong"]
    assert plan.without_latent is None
    assert [pair.label for pair in plan.comparisons] == [
        "pretrained: latent_first − expression_first",
        "pretrained: latent_first − joint",
        "pretrained − noise",
        "pretrained − wrong",
    ]


def test_a_training_is_known_by_all_that_decides_the_fit_and_nothing_else(case):
    def key(**changes):
        return make_plan(experiment(case, **changes)).trainings[0].key

    assert key() == key(cells=30)
    assert len({key(), key(settings={"steps": "41"}), key(preset="small"), key(split="singles")}) == 4


def test_a_setting_goes_to_every_method_that_has_it(case):
    plan = make_plan(experiment(case, preset="small", settings={"steps": "30", "width": "9"}))
    configs = [training.task.coordinates.config for training in plan.trainings]
    assert [config["steps"] for config in configs] == [30, 30, 30, 30]
    assert [config.get("width") for config in configs] == [None, None, None, 9]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": 0}, "At least 1 seed is needed, not 0"),
        ({"sources": ("attention",)}, "There is no source 'attention'"),
        ({"sources": ("noise",)}, "There is no source 'noise'"),
        (
            {"sources": ("oracle",)},
            "At least one source that can be tested is needed; choose among pretrained",
        ),
        (
            {"sources": ("pretrained", "oracle")},
            "The source 'oracle' knows the truth of simulated data sets alone, and 'tiny' is none of them; "
            "leave it out of --sources",
        ),
        ({"controls": ("joint",)}, "There is no control 'joint'"),
        ({"controls": ("oracle",)}, "'oracle' is a source and cannot be a control; name it in --sources"),
        ({"controls": ("suffled",)}, "did you mean 'shuffled'"),
        ({"controls": ("pretrained",)}, "'pretrained' is a source and cannot be a control"),
        ({"settings": {"order": "joint"}}, "chooses 'order' itself"),
        ({"settings": {"attention_source": "noise"}}, "chooses 'attention_source' itself"),
        ({"settings": {"stesp": "3"}}, "There is no hyper-parameter 'stesp'; did you mean 'steps'"),
        ({"settings": {"width": "0"}}, "'width' should be greater than or equal to 1"),
        ({"preset": "huge"}, "There is no preset 'huge'"),
        ({"method": "additive"}, "There is no hyper-parameter 'attention_source'"),
        ({"cells": 1}, "At least 2 cells"),
        ({"dataset": "tiyn"}, "did you mean 'tiny'"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_done(case, changes, sentence):
    with pytest.raises(BenchmarkError, match=sentence):
        make_plan(experiment(case, **changes))
    assert log(case) == []


def test_a_method_that_lacks_an_order_is_refused_in_one_sentence(case):
    methods = case / "own.py"
    methods.write_text(methods.read_text().replace('"joint": 0.1, ', ""))
    with pytest.raises(BenchmarkError, match=r"'order' should be .* but 'joint' was given"):
        make_plan(experiment(case))


def test_every_order_is_predicted_from_one_training_and_nothing_is_done_twice(case):
    plan = make_plan(experiment(case))
    assert execute(plan, Tracker()) == []
    assert fits(case) == [f"fit {name} 0 40" for name in ("pretrained", "noise", "wrong", "plain")]
    done = log(case)
    assert len(done) == 4 + 9
    assert kept(case) == []
    assert execute(plan, Tracker()) == []
    assert log(case) == done


@pytest.mark.slow
def test_predictions_are_those_of_a_run_that_trained_for_the_order_alone(case):
    at = experiment(case)
    plan = make_plan(at)
    execute(plan, Tracker())
    records = read_records(plan)
    for prediction in plan.predictions[:3]:
        request = Request(
            method=at.method,
            dataset="tiny",
            cells=20,
            settings={"order": prediction.arm.order},
            force=True,
        )
        alone, _ = run(request)
        assert alone.coordinates.key == prediction.key
        assert alone.archive_sha256 == records[prediction.key].archive_sha256


def test_every_prediction_is_a_run_on_the_board_under_its_configuration(case):
    execute(make_plan(experiment(case)), Tracker())
    (block,) = build_board(Tracker().runs())
    orders = ("", "order=expression_first", "order=joint")
    sources = ("", "attention_source=noise", "attention_source=wrong")
    chosen = [", ".join(filter(None, (order, source))) for source in sources for order in orders]
    flows = {f"fake_flow ({each})" if each else "fake_flow" for each in chosen}
    assert {row.label for row in block.rows} == {*flows, "fake_plain", BAR}


@pytest.mark.slow
def test_a_failed_prediction_is_resumed_without_training_again(case):
    """The second prediction of each training fails; the third goes on, and the fit waits on disk."""
    plan = make_plan(experiment(case))
    (case / "fail-expression_first").touch()
    missing = execute(plan, Tracker())
    assert [each.prediction.arm for each in missing] == [
        Arm(source, "expression_first") for source in ("pretrained", "noise", "wrong")
    ]
    assert {each.reason for each in missing} == {
        "fake_flow failed while predicting: ValueError: no expression_first today"
    }
    assert len(kept(case)) == 3
    before = log(case)
    (case / "fail-expression_first").unlink()
    assert execute(plan, Tracker()) == []
    assert log(case)[len(before) :] == [
        f"predict {source} expression_first 0" for source in ("pretrained", "noise", "wrong")
    ]
    assert kept(case) == []


@pytest.mark.slow
def test_the_resumed_prediction_is_what_it_would_have_been(case):
    plan = make_plan(experiment(case))
    (case / "fail-joint").touch()
    execute(plan, Tracker())
    (case / "fail-joint").unlink()
    execute(plan, Tracker())
    joint = plan.predictions[2]
    resumed = read_records(plan)[joint.key]
    request = Request(
        method=plan.experiment.method, dataset="tiny", cells=20, settings={"order": "joint"}, force=True
    )
    assert run(request)[0].archive_sha256 == resumed.archive_sha256


@pytest.mark.slow
def test_every_record_holds_the_seconds_and_losses_of_the_training_it_rests_on(case):
    plan = make_plan(experiment(case))
    (case / "fail-joint").touch()
    execute(plan, Tracker())
    (case / "fail-joint").unlink()
    execute(plan, Tracker())
    records = [read_records(plan)[each.key] for each in plan.predictions[:3]]
    assert len({record.seconds["fit"] for record in records}) == 1
    assert len({record.started for record in records}) == 1
    for record in records:
        assert record.seconds["total"] >= sum(record.seconds[part] for part in ("fit", "predict", "metrics"))
        losses = Tracker().client.get_metric_history(record.run_id, "train flow/loss")
        assert (len(losses), losses[-1].step) == (40, 40)


@pytest.mark.slow
def test_a_training_that_fails_is_tried_once_and_the_others_go_on(case):
    plan = make_plan(experiment(case, controls=("random",)))
    (case / "fail-random").touch()
    missing = execute(plan, Tracker())
    assert [each.prediction.arm for each in missing] == [Arm("random", order) for order in ORDERS]
    assert fits(case).count("fit random 0 40") == 1
    assert "fit plain 0 40" in fits(case)
    failed = [each for each in Tracker().runs() if each.status == "failed"]
    assert [each.tags["reason"] for each in failed] == [
        "fake_flow failed while fitting: ValueError: no random today"
    ]
    (case / "fail-random").unlink()
    assert execute(plan, Tracker()) == []
    assert len(fits(case)) == 6


def test_an_interrupt_stops_everything_and_keeps_the_training(case):
    plan = make_plan(experiment(case))
    (case / "interrupt-joint").touch()
    with pytest.raises(KeyboardInterrupt):
        execute(plan, Tracker())
    assert saved.is_kept(plan.trainings[0])
    assert [each.status for each in Tracker().runs()].count("interrupted") == 1
    assert fits(case) == ["fit pretrained 0 40"]
    (case / "interrupt-joint").unlink()
    assert execute(plan, Tracker()) == []
    assert fits(case).count("fit pretrained 0 40") == 1
