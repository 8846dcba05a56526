"""What is still needed, and how long it takes: by recorded runs, else by a short training."""

from __future__ import annotations

import pytest

from benchmark.config import MethodConfig, parameter
from benchmark.records.tracking import Tracker
from benchmark.studies.order.execute import execute
from benchmark.studies.order.forecast import duration, make_forecast
from benchmark.studies.order.plan import make_plan
from benchmark.studies.order.probe import TimedStage, cut, largest_prime, probe, remaining
from tests.studies.order.order_case import experiment, log, read_records, with_one_simple_method, write_case

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def options(home, monkeypatch) -> list[str]:
    with_one_simple_method(monkeypatch)
    return write_case(home)


class Steps(MethodConfig):
    steps: int = parameter(1000, ge=1, help="Steps.")
    transformer_steps: int = parameter(400, ge=1, help="Steps.")
    width: int = parameter(20, ge=1, help="Width.")


def test_a_probe_takes_the_prime_below_a_twentieth_of_both_kinds_of_steps_and_changes_nothing_else():
    config, full = cut(Steps())
    assert config == Steps(steps=47, transformer_steps=19)
    assert full == {47: 1000, 19: 400}
    assert cut(Steps(steps=10, transformer_steps=1)) == (Steps(steps=2, transformer_steps=1), {2: 10, 1: 1})
    assert cut(MethodConfig()) == (MethodConfig(), {})


@pytest.mark.parametrize(("limit", "prime"), [(0, 1), (1, 1), (2, 2), (4, 3), (25, 23), (5000, 4999)])
def test_the_largest_prime(limit, prime):
    assert largest_prime(limit) == prime


def test_only_stages_that_were_cut_are_scaled_and_rare_slow_steps_do_not_count_again():
    """50 steps at 1 s, one of them with a check of 30 s: 950 more take 950 s."""
    train = TimedStage(50, [1.0] * 49 + [31.0])
    pretrain = TimedStage(20, [0.5] * 20)
    attention = TimedStage(7, [2.0] * 7)
    empty = TimedStage(50, [])
    assert remaining([train, pretrain, attention, empty], {50: 1000, 20: 400}) == 950 + 190


def test_a_probe_fits_with_few_steps_and_leaves_no_run(home, options):
    task = make_plan(experiment(home)).trainings[0].task
    fit, predict = probe(task)
    assert log(home) == ["fit pretrained 0 2", "predict pretrained latent_first 0"]
    assert fit > 0
    assert predict > 0
    assert Tracker().runs() == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (120, "2 min"), (5940, "99 min"), (7500, "2 h 5 min")],
)
def test_times_are_written_as_people_say_them(seconds, text):
    assert duration(seconds) == text


@pytest.mark.slow
def test_the_forecast_counts_what_is_done_and_times_the_rest_by_what_was_recorded(home, options):
    plan = make_plan(experiment(home))
    (home / "fail-joint").touch()
    execute(plan, Tracker())
    before = log(home)
    found = make_forecast(plan, Tracker())
    assert (found.trainings, found.fitted) == (4, 4)  # three wait in the work folder
    assert (found.predictions, found.recorded) == (10, 7)
    assert (found.references, found.referenced) == (1, 1)
    (pace,) = found.paces.values()
    records = [each for each in read_records(plan).values() if "order" in each.coordinates.config]
    seconds = [record.seconds["total"] - record.seconds["fit"] for record in records]
    assert pace.predict in [pytest.approx(each) for each in seconds]
    assert found.seconds == pytest.approx(3 * pace.predict)
    assert log(home) == before  # no probe was needed


@pytest.mark.slow
def test_other_steps_or_cells_are_not_timed_by_the_recorded_run_as_it_is(home, options):
    plan = make_plan(experiment(home, cells=2))
    execute(plan, Tracker())
    more_cells = make_forecast(make_plan(experiment(home, cells=20)), Tracker())
    found = more_cells.paces["fake_flow"]
    records = [each for each in read_records(plan).values() if "order" in each.coordinates.config]
    tenfold = [10 * (record.seconds["total"] - record.seconds["fit"]) for record in records]
    assert found.predict in [pytest.approx(seconds) for seconds in tenfold]
    before = log(home)
    more_steps = make_forecast(make_plan(experiment(home, settings={"steps": "400"})), Tracker())
    assert "1/20 of the steps" in more_steps.paces["fake_flow"].basis
    assert log(home)[len(before)] == "fit pretrained 0 19"


def test_a_probe_that_fails_is_said_and_stops_nothing(home, options):
    (home / "fail-pretrained").touch()
    found = make_forecast(make_plan(experiment(home)), Tracker())
    assert "The rest takes an unknown time, at least" in str(found)
    assert "fake_flow: not known, for a short training failed (ValueError: no pretrained today)" in str(found)
