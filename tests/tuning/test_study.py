"""Processes end at any moment, and the study loses no more than what they were trying."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest
from optuna import load_study
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from benchmark.errors import BenchmarkError
from benchmark.machine.alive import is_alive, this_process
from benchmark.records.tracking import Tracker
from benchmark.tuning.space import Space
from benchmark.tuning.study import AGAIN, LOST, PROCESS, Outcome, Study
from benchmark.tuning.tune import tune
from benchmark.tuning.work import Bench
from methods.linear import Linear
from tests.machine.process_case import started, wait_for_end
from tests.tiny import PATH_OPTIONS
from tests.tuning.tuning_case import Case

NOBODY = "4194303"
"""A process id above all that Linux gives by default."""


@pytest.fixture
def case(screen):
    return Case(screen)


@pytest.fixture
def study(tmp_path):
    return open_study(f"sqlite:///{tmp_path / 'studies.db'}")


def open_study(url, wanted=3):
    return Study(url, "example", Space.of(Linear, None, {}), "minimize", wanted, seed=0)


def finish(study, trial, value=1.0):
    study.tell(trial, Outcome(TrialState.COMPLETE, value, seconds=1.0))


def end_its_process(trial):
    trial.set_user_attr(PROCESS, {**this_process(), "pid": NOBODY})


def command(case, method, *more):
    """Tune a method, as typed."""
    options = ["--dataset", str(case.screen), *PATH_OPTIONS, "--objective", "mse", *map(str, more)]
    return ["tune", "--method", case.spelt(method), *options]


def test_as_many_are_claimed_as_are_wanted(study):
    claimed = [study.claim() for _ in range(3)]
    assert study.claim() is None
    assert [trial.number for trial in claimed] == [0, 1, 2]
    assert len(study.trials()) == 3
    assert study.finished() == []


def test_a_trial_of_a_process_that_lives_is_left_alone(study):
    study.claim()
    assert study.close_lost() == 0


def test_a_process_that_nobody_has_waited_for_has_ended():
    """Where the driver was killed, nobody may ever wait for its workers."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(child.pid)
    tags = {**this_process(), "pid": str(child.pid), "process_started": str(process.create_time())}
    wait_for_end([process])
    assert not is_alive(tags)
    child.wait()
    assert not is_alive(tags)
    assert is_alive(this_process())


def test_a_lost_trial_is_tried_again_with_the_same_values_and_does_not_count(study):
    finish(study, study.claim())
    lost = study.claim()
    end_its_process(lost)
    assert study.close_lost() == 1
    assert len(study.trials()) == 1
    again = study.claim()
    assert again.params == lost.params
    finish(study, again)
    finish(study, study.claim())
    assert study.claim() is None
    assert len(study.finished()) == 3


def test_a_lost_default_is_the_default_again(study):
    lost = study.claim()
    end_its_process(lost)
    study.close_lost()
    again = study.claim()
    assert again.user_attrs["default"] is True
    assert again.params == lost.params == {}


def test_what_ends_two_processes_is_a_failure(study):
    for _ in range(2):
        end_its_process(study.claim())
        assert study.close_lost() == 1
    (failed,) = study.finished()
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["reason"] == "the process that tried it ended without a word, twice"
    assert study.claim().number == 2


def test_what_is_stopped_from_the_keyboard_waits_as_often_as_need_be(study):
    for _ in range(3):
        study.give_back(study.claim())
    assert study.trials() == []
    assert AGAIN not in study.claim().user_attrs


def test_the_draws_after_a_loss_are_those_without_it(tmp_path, study):
    finish(study, study.claim())
    end_its_process(study.claim())
    study.close_lost()
    finish(study, study.claim())
    other = open_study(f"sqlite:///{tmp_path / 'other.db'}")
    for _ in range(2):
        finish(other, other.claim())
    assert study.claim().params == other.claim().params


def test_a_process_may_end_while_it_draws(tmp_path, study, monkeypatch):
    """What had been drawn by then is drawn again, as if nothing had happened."""
    finish(study, study.claim())
    draw, drawn = TPESampler.sample_independent, []

    def ends(self, *arguments):
        if drawn:
            raise KeyboardInterrupt
        drawn.append(draw(self, *arguments))
        return drawn[0]

    with monkeypatch.context() as patch:
        patch.setattr(TPESampler, "sample_independent", ends)
        with pytest.raises(KeyboardInterrupt):
            study.claim()
    (half,) = (each for each in study.trials() if each.state == TrialState.RUNNING)
    assert len(half.params) == 1
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.tuning.study.is_alive", lambda tags: tags != this_process())
        assert study.close_lost() == 1
    other = open_study(f"sqlite:///{tmp_path / 'other.db'}")
    finish(other, other.claim())
    assert study.claim().params == other.claim().params


def test_the_first_of_equals_is_the_best_in_either_direction(tmp_path, study):
    for value in (2.0, 1.0, 1.0):
        finish(study, study.claim(), value)
    assert study.best().number == 1
    url = f"sqlite:///{tmp_path / 'up.db'}"
    upwards = Study(url, "up", Space.of(Linear, None, {}), "maximize", 3, seed=0)
    for value in (2.0, 1.0, 2.0):
        finish(upwards, upwards.claim(), value)
    assert upwards.best().number == 0


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", r"The studies in 'nonsense' cannot be used \(Could not parse"),
        ("foo://somewhere", r"foo://somewhere cannot be used"),
        ("sqlite:////nowhere/at/all.db", r"unable to open database file"),
        ("postgresql+nodriver://me:secret@localhost:1/x", r"postgresql\+nodriver://me:\*\*\*@localhost"),
    ],
)
def test_a_bad_address_gets_one_sentence_and_shows_no_password(url, sentence):
    with pytest.raises(BenchmarkError, match=sentence) as caught:
        open_study(url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "broken.db"
    path.write_bytes(b"no database at all " * 100)
    with pytest.raises(BenchmarkError, match=r"broken\.db cannot be used \(.*not a database"):
        open_study(f"sqlite:///{path}")


@pytest.mark.slow
def test_an_interrupt_leaves_the_configuration_to_the_next_call(store, case):
    with pytest.raises(KeyboardInterrupt):
        tune(case.plan("Interrupted", trials=4))
    (stopped,) = case.scales[1:]
    tuned = tune(case.plan("Interrupted", trials=4))
    assert case.scales[2] == stopped
    assert len(case.scales) == 5
    assert tuned.configuration.trials == 4
    assert [run.status for run in Tracker("tuning").runs()].count("interrupted") == 1


@pytest.mark.slow
def test_a_killed_driver_loses_the_running_trial_and_no_more(store, case):
    process = started(command(case, "Stuck", "--trials", 4), sign=case.screen.parent / "stuck")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished, stuck = case.scales
    tuned = tune(case.plan("Stuck", trials=4))
    assert case.scales[:3] == [finished, stuck, stuck]
    assert len(set(case.scales)) == tuned.configuration.trials == 4
    runs = Tracker("tuning").runs()
    assert [run.status for run in runs].count("killed") == 1
    assert [run.status for run in runs].count("finished") == 5


@pytest.mark.slow
def test_two_processes_share_a_study(store, case):
    tuned = tune(case.plan("Meets", trials=8, jobs=2))
    assert tuned.configuration.trials == len(case.scales) == len(set(case.scales)) == 8
    assert len({each["pid"] for each in case.said}) == 2
    assert case.scales.count(0.5) == 1
    (parent,) = (run for run in Tracker("tuning").runs() if run.tags["role"] == "study")
    children = [run for run in Tracker("tuning").runs() if run.tags["role"] == "trial"]
    assert [run.tags["mlflow.parentRunId"] for run in children] == [parent.run_id] * 8


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_what_it_tried_is_tried_again(store, home, case):
    tuned = tune(case.plan("Killed", trials=6, jobs=2))
    assert tuned.configuration.trials == 6
    assert tuned.states == {"complete": 6}
    assert len(case.scales) == 7
    assert len(set(case.scales)) == 6
    everything = load_study(study_name=tuned.configuration.study, storage=f"sqlite:///{home / 'tuning.db'}")
    assert [each.state for each in everything.trials if each.user_attrs.get(LOST)] == [TrialState.FAIL]


@pytest.mark.slow
def test_workers_end_with_their_driver(store, case):
    process = started(command(case, "Stuck", "--trials", 4, "--jobs", 2), sign=case.screen.parent / "stuck")
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert workers
    wait_for_end(workers)
    assert tune(case.plan("Stuck", trials=4)).configuration.trials == 4


@pytest.mark.slow
def test_what_no_worker_can_do_is_said_once(store, case):
    """The file of the methods vanishes after the driver has read it."""
    plan = case.plan(trials=2, jobs=2)
    bench = Bench.of

    def then_gone(given):
        made = bench(given)
        case.methods.unlink()
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "of", then_gone)
        with pytest.raises(BenchmarkError, match=r"There is no file .*own\.py"):
            tune(plan)
