"""Metrics of finished runs, computed anew from what they predicted: no method is needed.

What was predicted is in the archive of each run. So when a metric is added, taken away or its version raised,
all that is recorded can be brought up to date, and runs of different age stay comparable.
"""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import pandas as pd

from benchmark.board import LIMIT
from benchmark.data import Dataset, load_dataset
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.scoring import BOUNDS, score
from benchmark.machine.paths import locked
from benchmark.machine.progress import Silent, report_to, stage
from benchmark.records.lookup import (
    Place,
    Question,
    claimed,
    metric_versions,
    predictions,
    question_of,
    read_record,
)
from benchmark.records.record import Record, software_versions
from benchmark.records.tracking import StoredRun, Tracker
from benchmark.runs.keep import score_fields, write_table

_log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Outcome:
    """Ids of the runs that were scored anew and that were up to date; run -> why it was skipped."""

    done: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def rescore(run_id: str | None = None, *, force: bool = False, dataset: Dataset | None = None) -> Outcome:
    """Bring finished runs up to date with the metrics as they are declared now.

    Each run is replaced as a whole or not at all, also on Ctrl-C; what was done before stays. Another
    process that does the same is waited for.

    Parameters
    ----------
    run_id
        Only this run.
    force
        Also runs whose metrics have the present versions.
    dataset
        Only runs on these data: the way to those that have no card.

    Raises
    ------
    BenchmarkError
        When there is no such run, or the store cannot be used.
    """
    outcome = Outcome()
    load = lru_cache(maxsize=1)(load_dataset if dataset is None else lambda name: dataset)
    question = lru_cache(maxsize=1)(lambda place: question_of(place, load))
    tracker = Tracker()
    with locked(".rescore.lock", "Another process rescores; this one waits for it."):
        runs = _chosen(tracker.runs("attributes.status = 'FINISHED'"), run_id, dataset)
        due = [run for run in runs if force or not is_current(run)]
        outcome.current.extend(run.run_id for run in runs if run not in due)
        with stage("rescore", len(due)) as progress:
            for run in sorted(due, key=Place.of):
                try:
                    _renew(tracker, run, question(Place.of(run)))
                    outcome.done.append(run.run_id)
                except BenchmarkError as error:
                    outcome.skipped[_name(run)] = str(error)
                progress.advance()
    return outcome


def is_current(run: StoredRun) -> bool:
    """Whether the metrics of a run are those that apply to it now, in their present versions."""
    recorded = metric_versions(run)
    specs = [declared.spec for declared in METRICS.values()]
    if run.tags["method"] == LIMIT:
        applicable = [spec for spec in specs if spec.reads == "mean"]
    else:
        applicable = [spec for spec in specs if claimed(recorded) == "cells" or spec.needs == "mean"]
    return recorded == {spec.name: spec.version for spec in applicable}


def _name(run: StoredRun) -> str:
    at = Place.of(run)
    return f"{run.tags.get('method')} on {at.dataset} {at.split}-{at.seed} (run {run.run_id})"


def _chosen(runs: list[StoredRun], run_id: str | None, dataset: Dataset | None) -> list[StoredRun]:
    if dataset is not None:
        data = (dataset.name, dataset.digest)
        runs = [run for run in runs if (run.tags["dataset"], run.tags.get("dataset_digest")) == data]
    if run_id is None:
        return runs
    found = [run for run in runs if run.run_id == run_id]
    if not found:
        raise unknown(
            "finished run", run_id, [run.run_id for run in runs], "`leaderboard --format json` has ids"
        )
    return found


def _renew(tracker: Tracker, run: StoredRun, question: Question) -> None:
    """Score one run and replace what it scored before."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        record = read_record(tracker, run)
        with report_to(Silent()):
            scores = _scores(tracker, record, question, Path(folder))
        now = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **software_versions()}
        renewed = record.model_copy(update={**score_fields(scores, question.split), "rescored": now})
        table = write_table(scores, question.split, Path(folder))
        with _uninterrupted():
            tracker.replace_record(renewed, [table])


def _scores(tracker: Tracker, record: Record, question: Question, folder: Path) -> pd.DataFrame:
    dataset, split, references = question
    if not record.archive:
        return BOUNDS[record.coordinates.method](dataset, split, references)
    predicted, predicts = predictions(tracker, record, question, folder)
    return score(dataset, split, predicted, predicts, references)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C until the block is done; only the main thread ever gets it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if came:
            raise KeyboardInterrupt
