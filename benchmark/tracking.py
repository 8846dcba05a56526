"""Runs in MLflow: opened before work begins, closed with what came of it, found again by their key.

Everything the board needs is in the tags of a run, so that one query reads a thousand of them; the
whole record, the table per perturbation and the prediction archive are its artifacts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import psutil
from filelock import FileLock

from benchmark.errors import BenchmarkError
from benchmark.paths import project_home
from benchmark.record import Coordinates, Record, Status

# All are read when MLflow is imported: no usage reports, no minutes of retries at a dead server, no bars.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

EXPERIMENT = "benchmark"
PAGE = 1000
TAG_LENGTH = 4500
SCORES = "scores"
"""Name of the tags that hold, as one JSON text in parts, what every test perturbation scored."""
CONFIG = "config"
"""Name of the tags that hold, as one JSON text in parts, the hyper-parameters."""
RECORD = "record"
"""Name of the tag that says which file holds the record, where it was written anew."""
MLFLOW_STATUS = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "killed": "KILLED",
}


@dataclass(frozen=True)
class StoredRun:
    """A run as one query returns it."""

    run_id: str
    status: Status
    started: float
    tags: dict[str, str]

    @property
    def is_readable(self) -> bool:
        """Whether it has the tags that this version writes; one recorded by an older version may not."""
        needed = {"config_digest", "split_digest"}
        return self.tags.keys() >= (needed | {f"{SCORES}.0000"} if self.status == "finished" else needed)

    @cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """Per metric the value of each test perturbation; NaN where undefined."""
        labels, columns = self._packed["perturbations"], self._packed["scores"].items()
        return {name: dict(zip(labels, values, strict=True)) for name, values in columns}

    @property
    def groups(self) -> dict[str, str]:
        """The group of each test perturbation; empty for a run that is older than this entry."""
        return dict(zip(self._packed["perturbations"], self._packed.get("groups", []), strict=False))

    @property
    def config(self) -> dict[str, Any] | None:
        """Its hyper-parameters; None for a run that is older than this entry."""
        text = self._joined(CONFIG)
        return json.loads(text) if text else None

    @cached_property
    def _packed(self) -> dict[str, Any]:
        return json.loads(self._joined(SCORES))

    def _joined(self, name: str) -> str:
        """The text that `_in_parts` spread over several tags; empty where there is none."""
        return "".join(self.tags[tag] for tag in sorted(self.tags) if tag.startswith(f"{name}."))


class Tracker:
    """The MLflow store: ``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the project."""

    def __init__(self, experiment: str = EXPERIMENT) -> None:
        home = project_home()
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"
        # Creating tables is reported at length, on the screen of somebody who asked for a score.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        # Two processes that create the tables of one SQLite file at once would break each other.
        with _readable(self.uri), FileLock(home / ".mlflow.lock"):
            self.client = MlflowClient(self.uri)
            self.experiment_id = self._experiment(experiment, home)

    def _experiment(self, name: str, home: Path) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        local = self.uri.startswith("sqlite:")
        where = (home / "mlartifacts").resolve().as_uri() if local else None
        return self.client.create_experiment(name, artifact_location=where)

    def runs(self, query: str = "") -> list[StoredRun]:
        """All runs, newest first; one whose process has ended without a word counts as killed."""
        found: list[StoredRun] = []
        token = None
        with _readable(self.uri):
            while True:
                page = self.client.search_runs(
                    [self.experiment_id], query, max_results=PAGE, page_token=token
                )
                found += [_stored(run) for run in page]
                token = page.token
                if not token:
                    return found

    def finished(self, key: str) -> Record | None:
        """The record of the newest finished run with these coordinates."""
        for run in self.runs(f"tags.key = '{key}'"):
            if run.status == "finished":
                return self.record(run.run_id)
        return None

    def record(self, run_id: str) -> Record:
        """Read the record of one run."""
        with tempfile.TemporaryDirectory() as folder, _readable(self.uri):
            name = self.client.get_run(run_id).data.tags.get(RECORD, "record.json")
            path = self.client.download_artifacts(run_id, name, folder)
            return Record.model_validate_json(Path(path).read_text())

    def artifact(self, run_id: str, name: str, folder: Path) -> Path:
        """Fetch a file of a run into a folder.

        Raises
        ------
        BenchmarkError
            When the run has no such file any more.
        """
        with _readable(self.uri):
            if name not in {file.path for file in self.client.list_artifacts(run_id)}:
                raise BenchmarkError(f"its file {name} is not in the run store; run it again with --force.")
            return Path(self.client.download_artifacts(run_id, name, str(folder)))

    def replace_scores(self, record: Record, files: Sequence[Path]) -> None:
        """Keep another record of a finished run, with its files; what it scored before stays beside it.

        The new files get a folder of their own, and one transaction of the store turns to them with all that
        the board reads. Until then, whatever happens, the run is the old one; an MLflow metric may then be
        new already, which nothing reads but the MLflow pages.
        """
        text = record.model_dump_json(indent=1)
        folder_name = f"rescored-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        with tempfile.TemporaryDirectory() as folder, _readable(self.uri):
            path = Path(folder) / "record.json"
            path.write_text(text)
            for file in (*files, path):
                self.client.log_artifact(record.run_id, str(file), folder_name)
            before = self.client.get_run(record.run_id).data.tags
            # Tags cannot be deleted in the same transaction: parts that are no longer needed are emptied.
            tags = {name: "" for name in before if name.startswith(f"{SCORES}.")}
            tags |= {**board_tags(record), RECORD: f"{folder_name}/{path.name}"}
            self.log(record.run_id, _numbers(record), tags)

    def log(self, run_id: str, numbers: dict[str, float], tags: dict[str, str]) -> None:
        """Set metrics and tags of a run: the tags in one transaction."""
        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 0) for name, value in numbers.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )

    def close_dead_runs(self) -> None:
        """Write down for runs whose process has ended without a word that they were killed."""
        for run in self.runs("attributes.status = 'RUNNING'"):
            if run.status == "killed":
                self.close(run.run_id, "killed", "the process ended without a word")

    def close(self, run_id: str, status: Status, reason: str = "") -> None:
        """End a run with its status and, where it is no success, the reason."""
        with _readable(self.uri):
            self.client.set_tag(run_id, "status", status)
            if reason:
                self.client.set_tag(run_id, "reason", reason[:TAG_LENGTH])
            self.client.set_terminated(run_id, MLFLOW_STATUS[status])

    @contextmanager
    def recording(self, coordinates: Coordinates) -> Iterator[Recording]:
        """Open a run; whatever ends the block ends the run with the status that fits."""
        at = coordinates
        with _readable(self.uri):
            tags = {
                **coordinate_tags(at),
                "status": "running",
                **this_process(),
                "mlflow.runName": f"{at.method} {at.dataset} {at.split}-{at.seed}",
            }
            run = self.client.create_run(
                self.experiment_id, tags={name: str(value) for name, value in tags.items()}
            )
            recording = Recording(self, run.info.run_id)
            recording.write_parameters(coordinates)
        try:
            yield recording
        except KeyboardInterrupt:
            self._close_after_trouble(run.info.run_id, "interrupted", "stopped from the keyboard")
            raise
        except BaseException as error:
            first_line = str(error).partition("\n")[0]
            self._close_after_trouble(run.info.run_id, "failed", f"{type(error).__name__}: {first_line}")
            raise

    def _close_after_trouble(self, run_id: str, status: Status, reason: str) -> None:
        """End a run without hiding what ended it, should the store be in trouble too."""
        try:
            self.close(run_id, status, reason)
        except BenchmarkError as trouble:
            logging.getLogger("benchmark").warning("The run could not be closed as %s: %s", status, trouble)


@dataclass
class Recording:
    """One open run."""

    tracker: Tracker
    run_id: str

    def write_parameters(self, coordinates: Coordinates) -> None:
        """Log hyper-parameters and coordinates as MLflow parameters."""
        values: dict[str, Any] = coordinates.model_dump(
            include={"dataset", "split", "seed", "cells", "samples"}
        )
        values.update(coordinates.config)
        parameters = [Param(name, str(value)[:TAG_LENGTH]) for name, value in values.items()]
        with _readable(self.tracker.uri):
            self.tracker.client.log_batch(self.run_id, params=parameters)

    def write_curves(self, curves: dict[str, list[tuple[int, float]]]) -> None:
        """Log named series of (step, value), such as losses."""
        now = int(time.time() * 1000)
        points = [Metric(name, value, now, step) for name, curve in curves.items() for step, value in curve]
        with _readable(self.tracker.uri):
            for start in range(0, len(points), PAGE):
                self.tracker.client.log_batch(self.run_id, metrics=points[start : start + PAGE])

    def finish(self, record: Record, files: Sequence[Path]) -> None:
        """Keep the record and its files, and only then call the run finished."""
        with tempfile.TemporaryDirectory() as folder, _readable(self.tracker.uri):
            path = Path(folder) / "record.json"
            path.write_text(record.model_dump_json(indent=1))
            for file in (*files, path):
                self.tracker.client.log_artifact(self.run_id, str(file))
            self.tracker.log(self.run_id, _numbers(record), board_tags(record))
        self.tracker.close(self.run_id, "finished")


def _numbers(record: Record) -> dict[str, float]:
    """What MLflow shows as metrics of a run."""
    numbers = {name: summary.mean for name, summary in record.metrics.items() if summary.mean is not None}
    numbers.update({f"seconds_{part}": value for part, value in record.seconds.items()})
    return numbers | {"coverage": record.coverage, "peak_memory_mb": record.peak_memory_mb}


def coordinate_tags(at: Coordinates) -> dict[str, str]:
    """What a run is, as the tags that it is found and shown by."""
    tags = {
        **at.model_dump(mode="json", exclude={"config"}),
        "key": at.key,
        "config_digest": at.config_digest,
    }
    text = json.dumps(at.config, sort_keys=True, separators=(",", ":"))
    return {name: str(value) for name, value in tags.items()} | _in_parts(CONFIG, text)


def board_tags(record: Record) -> dict[str, str]:
    """What came of a run, as the tags that a board is made from."""
    tags = {
        "coverage": f"{record.coverage:.4f}",
        "fallbacks": str(len(record.fallbacks)),
        "seconds": f"{record.seconds['total']:.2f}",
        "peak_memory_mb": f"{record.peak_memory_mb:.0f}",
        "device": record.device,
        "metric_versions": json.dumps(record.metric_versions, sort_keys=True),
    }
    if record.tuning is not None:
        tags["tuning_trials"] = str(record.tuning.trials)
        tags["tuning_seconds"] = f"{record.tuning.seconds:.2f}"
        tags["tuning_overlap"] = str(len(record.tuned_on_test))
    scores = {
        name: [float("nan") if value is None else float(f"{value:.6g}") for value in values]
        for name, values in record.scores.items()
    }
    packed = {"perturbations": record.perturbations, "groups": record.groups, "scores": scores}
    return tags | _in_parts(SCORES, json.dumps(packed, separators=(",", ":")))


def _in_parts(name: str, text: str) -> dict[str, str]:
    """Spread a text over tags, none of which is longer than a store takes."""
    starts = range(0, len(text), TAG_LENGTH)
    return {f"{name}.{part:04d}": text[start : start + TAG_LENGTH] for part, start in enumerate(starts)}


def _stored(run: Run) -> StoredRun:
    tags = run.data.tags
    status = cast(Status, tags.get("status", "failed"))
    if status == "running" and not is_alive(tags):
        status = "killed"
    return StoredRun(run.info.run_id, status, run.info.start_time / 1000, tags)


def this_process() -> dict[str, str]:
    """What others can tell by whether this process still runs."""
    started = psutil.Process().create_time()
    return {"host": socket.gethostname(), "pid": str(os.getpid()), "process_started": str(started)}


def is_alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that `this_process` told of still runs; on another machine nobody can tell."""
    if tags.get("host") != socket.gethostname():
        return True
    try:
        process = psutil.Process(int(tags["pid"]))
        started, ended = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return not ended and abs(started - float(tags["process_started"])) < 1.0


@contextmanager
def _readable(uri: str) -> Iterator[None]:
    """Turn the store's own errors into one sentence."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first = str(error).partition("\n")[0]
        raise BenchmarkError(
            f"The run store {uri} cannot be used ({first}); check MLFLOW_TRACKING_URI, "
            "or that the file is a database and its disk has room."
        ) from error
