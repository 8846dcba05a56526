"""Do what is missing: fit or load each method once, and record its predictions one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmark.failures import reason_of
from benchmark.records.tracking import StoredRun, Tracker
from benchmark.runs.run import Fitted, fit, record_predictions
from benchmark.studies.order import saved
from benchmark.studies.order.experiment import Plan, Prediction, Training

_log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Missing:
    """A prediction that is not there, and why."""

    prediction: Prediction
    reason: str


def runs_on_data(plan: Plan, tracker: Tracker) -> list[StoredRun]:
    """Finished runs of any method on the data and split scheme of the experiment, newest first."""
    at = plan.trainings[0].task.coordinates
    runs = tracker.runs(f"tags.dataset_digest = '{at.dataset_digest}'")
    return [
        run for run in runs if run.status == "finished" and run.is_readable and run.tags["split"] == at.split
    ]


def recorded(plan: Plan, runs: Sequence[StoredRun]) -> dict[str, str]:
    """Key of each prediction that is recorded, and the newest run that did it."""
    keys = {prediction.key for prediction in plan.all_predictions}
    return {run.tags["key"]: run.run_id for run in reversed(runs) if run.tags["key"] in keys}


def execute(plan: Plan, tracker: Tracker) -> list[Missing]:
    """Make every prediction that is not recorded yet, those of the simple methods first.

    A failure is reported and leaves the rest to go on. A fit stays in the work folder until all that
    rests on it is recorded, so that the next call predicts without fitting again.
    """
    done = set(recorded(plan, runs_on_data(plan, tracker)))
    missing: list[Missing] = []
    for heading, training in _in_turn(plan):
        wanted = [prediction for prediction in training.predictions if prediction.key not in done]
        if wanted:
            _log.info("%s: %s", heading, training.label)
        failed = _complete(training, wanted, tracker)
        if not failed:
            saved.discard(training)
        missing += failed
        # A simple method may be the one without a latent too.
        done |= {each.key for each in wanted} - {each.prediction.key for each in failed}
    return missing


def _in_turn(plan: Plan) -> Iterator[tuple[str, Training]]:
    """Every training, and what messages call its place."""
    for training in plan.references:
        yield "Simple method", training
    for number, training in enumerate(plan.trainings, 1):
        yield f"Training {number} of {len(plan.trainings)}", training


def _complete(training: Training, wanted: Sequence[Prediction], tracker: Tracker) -> list[Missing]:
    """Record the predictions of one training that are wanted; a failed fit is not tried for the next."""
    fitted = saved.load(training) if wanted else None
    missing = []
    for index, prediction in enumerate(wanted):
        try:
            with tracker.recording(prediction.task.coordinates) as recording:
                if fitted is None:
                    fitted = _fit(training)
                record_predictions(prediction.task, _configured(fitted, prediction), recording)
        except Exception as error:
            reason = reason_of(error)
            unmade = [prediction] if fitted else wanted[index:]
            missing += [Missing(each, reason) for each in unmade]
            for each in unmade:
                _log.warning("Failed: %s (%s)", each.label, reason)
            if fitted is None:
                break
    return missing


def _fit(training: Training) -> Fitted:
    fitted = fit(training.task)
    saved.keep(training, fitted)
    return fitted


def _configured(fitted: Fitted, prediction: Prediction) -> Fitted:
    """Give a fitted method the order of a prediction, the one setting in which its predictions differ."""
    fitted.method.config = prediction.task.config
    return fitted
