"""The order experiment trains once, predicts in every order, and goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.board import build_board
from benchmark.errors import BenchmarkError
from benchmark.records.tracking import Tracker
from benchmark.runs.run import Request, run
from benchmark.studies.order import saved
from benchmark.studies.order.arms import BASELINE, CONTROLS, NO_LATENT, ORDERS, PRETRAINED, Arm
from benchmark.studies.order.execute import execute
from benchmark.studies.order.plan import make_plan
from tests.studies.order.order_case import SMALL, experiment, fits, kept, log, read_records, write_short_case

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def case(home, monkeypatch) -> Path:
    return write_short_case(home, monkeypatch)


def test_a_seed_needs_one_training_per_source_and_one_without_latent(case):
    plan = make_plan(experiment(case, seeds=2))
    assert len(plan.trainings) == 2 * 5
    assert len(plan.predictions) == 2 * (4 * 3 + 1)
    assert [each.source for each in plan.references] == 2 * [BASELINE]
    assert plan.arms == [
        *(Arm(source, order) for source in (PRETRAINED, *CONTROLS) for order in ORDERS),
        NO_LATENT,
    ]
    assert len({training.key for training in plan.trainings}) == 10
    assert len({id(each.task.dataset) for each in plan.predictions}) == 1


def test_a_training_is_known_by_all_that_decides_the_fit_and_nothing_else(case):
    def key(**changes):
        return make_plan(experiment(case, controls=SMALL, **changes)).trainings[0].key

    assert key() == key(cells=30)
    assert len({key(), key(settings={"steps": "41"}), key(preset="small"), key(split="singles")}) == 4


def test_a_setting_goes_to_every_method_that_has_it(case):
    plan = make_plan(experiment(case, controls=SMALL, preset="small", settings={"steps": "30", "width": "9"}))
    configs = [training.task.coordinates.config for training in plan.trainings]
    assert [config["steps"] for config in configs] == [30, 30, 30]
    assert [config.get("width") for config in configs] == [None, None, 9]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": 0}, "At least 1 seed is needed, not 0"),
        ({"controls": ()}, "At least one control is needed; choose among random, shuffled, coexpression"),
        ({"controls": ("joint",)}, "There is no control 'joint'"),
        ({"controls": ("suffled",)}, "did you mean 'shuffled'"),
        ({"controls": ("pretrained",)}, "There is no control 'pretrained'"),
        ({"settings": {"order": "joint"}}, "chooses 'order' itself"),
        ({"settings": {"attention_source": "random"}}, "chooses 'attention_source' itself"),
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
    methods.write_text(methods.read_text().replace('"expression_first", "joint"]', '"expression_first"]'))
    with pytest.raises(BenchmarkError, match=r"'order' should be .* but 'joint' was given"):
        make_plan(experiment(case))


def test_every_order_is_predicted_from_one_training_and_nothing_is_done_twice(case):
    plan = make_plan(experiment(case, controls=SMALL))
    assert execute(plan, Tracker()) == []
    assert fits(case) == ["fit pretrained 0 40", "fit random 0 40", "fit plain 0 40"]
    done = log(case)
    assert len(done) == 3 + 6
    assert kept(case) == []
    assert execute(plan, Tracker()) == []
    assert log(case) == done


@pytest.mark.slow
def test_predictions_are_those_of_a_run_that_trained_for_the_order_alone(case):
    at = experiment(case, controls=SMALL)
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
    execute(make_plan(experiment(case, controls=SMALL)), Tracker())
    (block,) = build_board(Tracker().runs())
    assert {row.label for row in block.rows} == {
        "fake_flow",
        "fake_flow (order=expression_first)",
        "fake_flow (order=joint)",
        "fake_flow (attention_source=random)",
        "fake_flow (order=expression_first, attention_source=random)",
        "fake_flow (order=joint, attention_source=random)",
        "fake_plain",
        "train_mean",
    }


def test_a_failed_prediction_is_resumed_without_training_again(case):
    """The second prediction of each training fails; the third goes on, and the fit waits on disk."""
    plan = make_plan(experiment(case, controls=SMALL))
    (case / "fail-expression_first").touch()
    missing = execute(plan, Tracker())
    assert [each.prediction.arm for each in missing] == [
        Arm(PRETRAINED, "expression_first"),
        Arm("random", "expression_first"),
    ]
    assert {each.reason for each in missing} == {"ValueError: no expression_first today"}
    assert len(kept(case)) == 2
    before = log(case)
    (case / "fail-expression_first").unlink()
    assert execute(plan, Tracker()) == []
    assert log(case)[len(before) :] == [
        "predict pretrained expression_first 0",
        "predict random expression_first 0",
    ]
    assert kept(case) == []


@pytest.mark.slow
def test_the_resumed_prediction_is_what_it_would_have_been(case):
    plan = make_plan(experiment(case, controls=SMALL))
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


def test_every_record_holds_the_seconds_and_losses_of_the_training_it_rests_on(case):
    plan = make_plan(experiment(case, controls=SMALL))
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
    plan = make_plan(experiment(case, controls=("random", "shuffled")))
    (case / "fail-random").touch()
    missing = execute(plan, Tracker())
    assert [each.prediction.arm for each in missing] == [Arm("random", order) for order in ORDERS]
    assert fits(case).count("fit random 0 40") == 1
    assert "fit shuffled 0 40" in fits(case)
    failed = [each for each in Tracker().runs() if each.status == "failed"]
    assert [each.tags["reason"] for each in failed] == ["ValueError: no random today"]
    (case / "fail-random").unlink()
    assert execute(plan, Tracker()) == []
    assert len(fits(case)) == 5


def test_an_interrupt_stops_everything_and_keeps_the_training(case):
    plan = make_plan(experiment(case, controls=SMALL))
    (case / "interrupt-joint").touch()
    with pytest.raises(KeyboardInterrupt):
        execute(plan, Tracker())
    assert saved.is_kept(plan.trainings[0])
    assert [each.status for each in Tracker().runs()].count("interrupted") == 1
    assert fits(case) == ["fit pretrained 0 40"]
    (case / "interrupt-joint").unlink()
    assert execute(plan, Tracker()) == []
    assert fits(case).count("fit pretrained 0 40") == 1
