"""One run from its coordinates to its record: fit, predict, archive, score, keep.

A run that is finished is found by its coordinates, so what the work needs is imported when there is work.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.contexts import NONE
from benchmark.data import Dataset
from benchmark.failures import told_apart
from benchmark.machine import peers
from benchmark.machine.progress import CurveKeeper, report_to
from benchmark.method import Method
from benchmark.predicting import predict_all, sample_cells, sampling_noise
from benchmark.records.record import Record, Tuning
from benchmark.records.tracking import Recording, Tracker
from benchmark.runs.claims import claimed
from benchmark.runs.request import Request, Task, prepare

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

_log = logging.getLogger("benchmark")

COMPARES = "benchmark.evaluation.metrics.differential"
"""Takes a second to import, which is to be over before the time of the metrics is taken."""


@dataclass(frozen=True)
class Fitted:
    """A fitted method, with what every run that rests on its training keeps of it.

    Attributes
    ----------
    method
        Ready to predict.
    started
        When the training began, ISO 8601, UTC.
    seconds
        How long it took.
    curves
        Losses and the like: name -> (step, value).
    processor_seconds
        What it took of all processors, processes that were started for it included; None where not known.
    """

    method: Method
    started: str
    seconds: float
    curves: dict[str, list[tuple[int, float]]]
    processor_seconds: float | None = None


def run(request: Request, dataset: Dataset | None = None) -> tuple[Record, bool]:
    """Do a run, or show the finished one with the same coordinates.

    Parameters
    ----------
    request
        What is asked for.
    dataset
        The data set that it names, where it is loaded already.

    Returns
    -------
    tuple
        The record, and whether it was done now.

    Raises
    ------
    BenchmarkError
        For anything in the request or the data that cannot be used; no run is recorded then.
    """
    return perform(prepare(request, dataset), force=request.force)


def perform(task: Task, force: bool = False, wait: bool = True) -> tuple[Record, bool]:
    """Do what has been prepared, as `run` does.

    Parameters
    ----------
    task
        What is done.
    force
        Whether it is repeated where it is finished.
    wait
        Whether another process that does the same is waited for; else it is a `filelock.Timeout`.
    """
    tracker = Tracker()
    if not force and (earlier := tracker.finished(task.coordinates.key)) is not None:
        peers.agree(False)
        return _with_ledger(earlier, task.tuning, tracker), False
    with claimed(task.coordinates.key, wait):
        tracker.close_dead_runs()
        if not force:
            earlier = tracker.finished(task.coordinates.key)  # of a process that was waited for
            peers.agree(earlier is None)
            if earlier is not None:
                return _with_ledger(earlier, task.tuning, tracker), False
        _ = task.dataset.adata  # read before the run begins: data that cannot be used leave none
        with (
            tracker.recording(task.coordinates, task.is_anchor) as recording,
            peers.noticing_loss(),
        ):
            return record_predictions(task, fit(task), recording), True


def _with_ledger(record: Record, tuning: Tuning | None, tracker: Tracker) -> Record:
    """Write into a finished run what it cost to choose its configuration, which was run before it was chosen.

    So the board says how often a method was tuned also where nothing was better than its default. What was
    spent is never forgotten for a study with fewer trials.
    """
    known = record.tuning.trials if record.tuning else 0
    if tuning is None or tuning.trials <= known:
        return record
    renewed = record.model_copy(update={"tuning": tuning})
    tracker.replace_record(renewed)
    return renewed


def assist(task: Task, force: bool = False) -> None:
    """Do the share of a process that is not the first of a run on several devices; the first one records."""
    if force or peers.agree(True):
        predict(task, fit(task).method)


def fit(task: Task) -> Fitted:
    """Train the method of a task on the cells that it may see, and that hold no test cell."""
    from benchmark.evaluation.leaks import check_views
    from benchmark.runs.keep import Clock, processor_seconds
    from benchmark.splits.views import training_views

    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock, curves = Clock(), CurveKeeper()
    if task.split.contexts != (NONE,) and not task.method_class.supports_contexts:
        _log.warning(
            "%s looks at no contexts: it learns from the cells of all as if they were of one.",
            task.method_class.name,
        )
    train, validation = training_views(task.dataset, task.learned_from)
    check_views(task.dataset, task.learned_from, train, validation)
    method = task.method_class(task.config, seed=task.coordinates.seed, device=task.device)
    before = processor_seconds()
    with report_to(curves), clock.time("fit"), told_apart(method, "fitting"):
        method.fit(train, validation)
    taken = round(processor_seconds() - before, 3)
    return Fitted(method, started, clock.seconds()["fit"], curves.curves, taken)


def predict(task: Task, method: Method) -> tuple[AnnData, Mapping[str, np.ndarray], dict[str, str]]:
    """Predict with a fitted method: the control cells it starts from, and what `predict_all` returns."""
    from benchmark.splits.views import control_cells, training_views

    at = task.coordinates
    start = sample_cells(control_cells(task.dataset, task.split), at.cells, at.seed, at.samples)
    views = partial(training_views, task.dataset, task.learned_from)
    return start, *predict_all(method, start, task.split.test, views)


def record_predictions(task: Task, fitted: Fitted, recording: Recording) -> Record:
    """Predict with a fitted method, archive and score, and keep the record with its files.

    Parameters
    ----------
    task
        What the record is about; the configuration of `fitted.method` must be that of the task.
    fitted
        The training, whose seconds count in this run, also where several runs share it.
    recording
        The open run.
    """
    from benchmark.evaluation.controls import count_controls
    from benchmark.evaluation.independence import require_independence
    from benchmark.evaluation.scoring import score
    from benchmark.records.archive import write_archive
    from benchmark.runs.keep import Clock, keep_results
    from benchmark.splits.views import control_cells, held_out_cells

    import_module(COMPARES)
    clock = Clock(fit=fitted.seconds)
    curves = CurveKeeper()
    method = fitted.method
    control = control_cells(task.dataset, task.split)
    with report_to(curves):
        with clock.time("predict"):
            start, predicted, fallbacks = predict(task, method)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            with clock.time("archive"):
                archive = Path(folder) / "predictions.h5ad"
                about = {name: str(value) for name, value in task.coordinates.model_dump().items()}
                digest = write_archive(archive, control, start.obs, predicted, about)
            with clock.time("metrics"):
                scores = score(task.dataset, task.split, predicted, method.predicts)
                real = held_out_cells(task.dataset, task.split)
                require_independence(real, scores.drop(index=list(fallbacks)))
            own = {label: cells for label, cells in predicted.items() if label not in fallbacks}
            recording.write_curves({**fitted.curves, **curves.curves})
            return keep_results(
                recording,
                task.coordinates,
                task.split,
                scores,
                started=fitted.started,
                device=method.device_used,
                threads=method.threads_used,
                sampling_noise=sampling_noise(method, start, own),
                knows_truth=method.knows_truth(method.config),
                controls=count_controls(task.dataset, task.split),
                clock=clock,
                processor_seconds=fitted.processor_seconds,
                fallbacks=fallbacks,
                archive=archive,
                digest=digest,
                tuning=task.tuning,
            )
