"""Metrics of finished runs, computed anew from what they predicted: no method is needed.

What was predicted is in the archive of each run. So when a metric is added, taken away or its version raised,
all that is recorded can be brought up to date, and runs of different age stay comparable.
"""

from __future__ import annotations

import json
import logging
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from filelock import FileLock, Timeout
from pydantic import ValidationError

from benchmark.archive import file_digest, read_archive
from benchmark.data import Dataset, load_dataset
from benchmark.errors import BenchmarkError, unknown
from benchmark.metrics import METRICS, Reference
from benchmark.paths import project_home
from benchmark.progress import Silent, report_to, stage
from benchmark.record import Record, software_versions
from benchmark.results import score_fields, write_table
from benchmark.scoring import ceiling, reference_of, score
from benchmark.splits import Split, read_split, split_file
from benchmark.submission import Predicts, read_submission
from benchmark.tracking import StoredRun, Tracker

_log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Outcome:
    """Ids of the runs that were scored anew and that were up to date; run -> why it was skipped."""

    done: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


class Place(NamedTuple):
    """What a run was scored on, as its tags have it."""

    dataset: str
    dataset_digest: str
    split: str
    seed: str
    split_digest: str


class Question(NamedTuple):
    """What is loaded once for all runs of a place."""

    dataset: Dataset
    split: Split
    reference: Reference


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
    question = lru_cache(maxsize=1)(lambda place: _question(place, load))
    tracker = Tracker()
    with _alone():
        runs = _chosen(tracker.runs("attributes.status = 'FINISHED'"), run_id, dataset)
        due = [run for run in runs if force or not is_current(run)]
        outcome.current.extend(run.run_id for run in runs if run not in due)
        with stage("rescore", len(due)) as progress:
            for run in sorted(due, key=_place):
                try:
                    _renew(tracker, run, question(_place(run)))
                    outcome.done.append(run.run_id)
                except BenchmarkError as error:
                    outcome.skipped[_name(run)] = str(error)
                progress.advance()
    return outcome


def is_current(run: StoredRun) -> bool:
    """Whether the metrics of a run are those that apply to it now, in their present versions."""
    recorded = _versions(run)
    applicable = {
        name: declared.spec.version
        for name, declared in METRICS.items()
        if _predicts(recorded) == "cells" or declared.spec.needs == "mean"
    }
    return recorded == applicable


def _versions(run: StoredRun) -> dict[str, str]:
    return json.loads(run.tags.get("metric_versions", "{}"))


def _predicts(recorded: Mapping[str, str]) -> Predicts:
    """What a run predicted: metrics that need single cells were applied to those alone that give them."""
    needs = {METRICS[name].spec.needs for name in recorded if name in METRICS}
    return "cells" if "cells" in needs else "mean"


def _place(run: StoredRun) -> Place:
    return Place(*(run.tags.get(name, "") for name in Place._fields))


def _name(run: StoredRun) -> str:
    at = _place(run)
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


def _question(place: Place, load: Callable[[str], Dataset]) -> Question:
    """Load data, split and reference of a place, which must be those that the runs were scored on."""
    dataset = load(place.dataset)
    path = split_file(place.dataset, place.split, int(place.seed))
    if path is None:
        raise BenchmarkError(
            f"there is no frozen split {place.split}-{place.seed} of {place.dataset}; restore its file."
        )
    split = read_split(path)
    for what, now, then in (
        ("data set", dataset.digest, place.dataset_digest),
        ("split", split.digest, place.split_digest),
    ):
        if now != then:
            raise BenchmarkError(
                f"its {what} has the digest {now[:12]} now, not {then[:12]}; restore that, or run it again."
            )
    return Question(dataset, split, reference_of(dataset, split))


def _renew(tracker: Tracker, run: StoredRun, question: Question) -> None:
    """Score one run and replace what it scored before."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        try:
            record = tracker.record(run.run_id)
        except ValidationError as error:
            raise BenchmarkError("its record is of an older version; run it again.") from error
        with report_to(Silent()):
            scores = _scores(tracker, record, question, Path(folder))
        now = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **software_versions()}
        renewed = record.model_copy(update={**score_fields(scores, question.split), "rescored": now})
        table = write_table(scores, question.split, Path(folder))
        with _uninterrupted():
            tracker.replace_scores(renewed, [table])


def _scores(tracker: Tracker, record: Record, question: Question, folder: Path) -> pd.DataFrame:
    dataset, split, reference = question
    if not record.archive:
        return ceiling(dataset, split, reference)
    path = tracker.artifact(record.run_id, record.archive, folder)
    if file_digest(path) != record.archive_sha256:
        raise BenchmarkError(
            f"its archive {record.archive} is not the file that was recorded (another SHA-256); run it again."
        )
    if record.reading:
        submission = read_submission(path, dataset, split, seed=split.seed, **record.reading)
        return score(dataset, split, submission.predicted, submission.predicts, reference)
    predicted = read_archive(path, list(dataset.adata.var_names))
    return score(dataset, split, predicted, _predicts(record.metric_versions), reference)


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


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other process of this project home rescores."""
    lock = FileLock(project_home() / ".rescore.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.info("Another process rescores; this one waits for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
