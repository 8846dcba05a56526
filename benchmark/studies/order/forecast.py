"""What the experiment still needs, and about how long that takes on this machine."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.records.record import Record
from benchmark.records.tracking import StoredRun, Tracker
from benchmark.studies.order import saved
from benchmark.studies.order.arms import ORACLE, ORDERS
from benchmark.studies.order.execute import recorded, runs_on_data
from benchmark.studies.order.experiment import Plan, Training
from benchmark.studies.order.probe import PART, probe

LOOKED_AT = 20
"""Records of comparable runs that are read before a probe is made instead."""


@dataclass(frozen=True)
class Pace:
    """How long one method takes.

    Attributes
    ----------
    fit, predict
        Seconds of a training, and of one prediction with its scores.
    basis
        What they were taken from.
    """

    fit: float
    predict: float
    basis: str


@dataclass(frozen=True)
class Forecast:
    """What is needed and what is there.

    Attributes
    ----------
    arms
        What is trained, in words.
    trainings, fitted
        All trainings, and those that need no fit any more.
    predictions, recorded
        All predictions, and those that are recorded; without the simple methods.
    references, referenced
        All runs of simple methods, about a second each, and those that are recorded.
    paces
        For each method of which something is missing its pace, or why there is none.
    seconds
        Of everything that is missing, as far as there are paces.
    """

    arms: list[str]
    trainings: int
    fitted: int
    predictions: int
    recorded: int
    references: int
    referenced: int
    paces: dict[str, Pace | str]
    seconds: float

    def __str__(self) -> str:
        lines = [
            *self.arms,
            f"Needed: {self.trainings} trainings ({self.fitted} done), {self.predictions} predictions "
            f"({self.recorded} done)",
            f"and {self.references} runs of simple methods ({self.referenced} done).",
        ]
        if self.paces:
            known = all(isinstance(pace, Pace) for pace in self.paces.values())
            about = "about" if known else "an unknown time, at least"
            lines.append(f"The rest takes {about} {duration(self.seconds)} here:")
        for method, pace in self.paces.items():
            if isinstance(pace, str):
                lines.append(f"  {method}: not known, for {pace}")
                continue
            lines.append(
                f"  {method}: {duration(pace.fit)} a training, {duration(pace.predict)} a prediction"
            )
            lines.append(f"    ({pace.basis})")
        return "\n".join(lines)


def make_forecast(plan: Plan, tracker: Tracker) -> Forecast:
    """Count what is there, and time the rest by finished runs of the same configurations, else by a probe."""
    runs = runs_on_data(plan, tracker)
    done = recorded(plan, runs)
    paces: dict[str, Pace | str] = {}
    fitted, seconds = 0, 0.0
    for training in plan.trainings:
        method = training.task.coordinates.method
        missing = sum(prediction.key not in done for prediction in training.predictions)
        needs_fit = bool(missing) and not saved.is_kept(training)
        fitted += not needs_fit
        if not missing:
            continue
        if method not in paces:
            paces[method] = _recorded_pace(method, plan, runs, tracker) or _probed_pace(training)
        pace = paces[method]
        if isinstance(pace, Pace):
            seconds += needs_fit * pace.fit + missing * pace.predict
    return Forecast(
        arms=_arms(plan),
        trainings=len(plan.trainings),
        fitted=fitted,
        predictions=len(plan.predictions),
        recorded=sum(prediction.key in done for prediction in plan.predictions),
        references=len(plan.simple),
        referenced=sum(prediction.key in done for prediction in plan.simple),
        paces=paces,
        seconds=seconds,
    )


def _arms(plan: Plan) -> list[str]:
    """Sources, controls and the method without a latent, with what each is there for."""
    lines = [f"Tested: {', '.join(plan.tested)}; negative controls: {', '.join(plan.controls)}."]
    if ORACLE in plan.with_network:
        lines.append(f"Positive control: {ORACLE}, also told a true and a wrong latent.")
    else:
        lines.append("No positive control, so that the answer can be no more than open.")
    plain = plan.without_latent
    without = "none" if plain is None else plain.task.coordinates.method
    lines.append(f"Orders: {', '.join(ORDERS)}. Without a latent: {without}.")
    return lines


def duration(seconds: float) -> str:
    """Write a time as people say it."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _recorded_pace(method: str, plan: Plan, runs: Sequence[StoredRun], tracker: Tracker) -> Pace | None:
    """Take the newest run here, on the same device, of any of the plan's configurations and any seed."""
    tasks = [each.task for each in plan.predictions if each.task.coordinates.method == method]
    digests = {task.coordinates.config_digest for task in tasks}
    device = tasks[0].method_class(tasks[0].config, device=tasks[0].device).device_used
    like = [
        run
        for run in runs
        if run.tags["method"] == method
        and run.tags["config_digest"] in digests
        and run.tags["host"] == socket.gethostname()
    ]
    for run in like[:LOOKED_AT]:
        record = tracker.record(run.run_id)
        if record.device == device:
            return _pace(record, tasks[0].coordinates.cells)
    return None


def _pace(record: Record, cells: int) -> Pace:
    """Read the pace of a run; the seconds of a prediction grow with the cells."""
    fit = record.seconds["fit"]
    rest = record.seconds["total"] - fit
    return Pace(fit, rest * cells / record.coordinates.cells, f"as in the run of {record.started}")


def _probed_pace(training: Training) -> Pace | str:
    try:
        fit, predict = probe(training.task)
    except Exception as error:  # the training itself will say more
        return f"a short training failed ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    return Pace(fit, predict, f"from a training with about 1/{PART} of the steps")
