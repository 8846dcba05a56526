"""The store made anew from the files of its runs, where the database is lost.

A run keeps its record as a file beside its predictions. What only the database had is gone: losses by step,
the load of the machine, and attempts that came to nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import project_home
from benchmark.records.record import Record
from benchmark.records.tracking.local import SQLITE
from benchmark.records.tracking.open_run import Recording, numbers_of
from benchmark.records.tracking.store import MLFLOW_STATUS, Point, readable
from benchmark.records.tracking.tags import board_tags, code_tags, coordinate_tags
from benchmark.records.tracking.tracker import RECORD, Tracker

RECORD_FILE = "record.json"


@dataclass
class Rebuilt:
    """What came of it: runs that were put into the store, that were there, and files with what is wrong."""

    done: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def rebuild(tracker: Tracker) -> Rebuilt:
    """Put every finished run whose files are in ``mlartifacts`` into the store, under the id that it had.

    It may be done again, and goes on where it was stopped.

    Raises
    ------
    BenchmarkError
        When the store is not the file of this project.
    """
    home = project_home()
    if tracker.uri != f"{SQLITE}{home / 'mlflow.db'}":
        raise BenchmarkError(
            f"The run store is {tracker.uri}, and only that of the project is made anew; unset "
            "MLFLOW_TRACKING_URI."
        )
    finished = {run.run_id for run in tracker.runs() if run.status == "finished"}
    outcome = Rebuilt()
    for folder in sorted((home / "mlartifacts").glob("*/artifacts")):
        if folder.parent.name in finished:
            outcome.known.append(folder.parent.name)
            continue
        try:
            for name, record in _newest(folder):
                _put(tracker, record, name, folder)
                outcome.done.append(record.run_id)
        except (ValidationError, OSError) as error:
            outcome.unreadable[str(folder)] = str(error).partition("\n")[0]
    return outcome


def _newest(folder: Path) -> Iterator[tuple[str, Record]]:
    """The newest record of a run, which may have been scored anew; none where the run came to nothing."""
    files = [path for path in (folder / RECORD_FILE, *folder.glob(f"*/{RECORD_FILE}")) if path.is_file()]
    if files:
        path = max(files, key=lambda each: each.stat().st_mtime_ns)
        yield path.relative_to(folder).as_posix(), Record.model_validate_json(path.read_bytes())


def _put(tracker: Tracker, record: Record, name: str, folder: Path) -> None:
    """Put a run into the store as it was; only the last step calls it finished."""
    started = int(datetime.fromisoformat(record.started).timestamp() * 1000)
    ended = started + int(record.seconds["total"] * 1000)
    at, run_id = record.coordinates, record.run_id
    with readable(tracker.uri):
        _insert(tracker, run_id, started, folder)
        Recording(tracker, run_id).write_parameters(at)
        tracker.log_points(run_id, [Point(key, value, ended, 0) for key, value in numbers_of(record).items()])
        named = {"mlflow.runName": f"{at.method} {at.dataset} {at.split}-{at.seed}", RECORD: name}
        tags = {**coordinate_tags(at), **code_tags(record), **board_tags(record), **named}
        tracker.log(run_id, {}, {**tags, "status": "finished", "reason": ""})
        tracker.client.set_terminated(run_id, MLFLOW_STATUS["finished"], ended)


def _insert(tracker: Tracker, run_id: str, started: int, folder: Path) -> None:
    """Open a run under its own id, which MLflow lets nobody choose."""
    values = {
        "run_uuid": run_id,
        "status": MLFLOW_STATUS["running"],
        "start_time": started,
        "lifecycle_stage": "active",
        "artifact_uri": folder.resolve().as_uri(),
        "experiment_id": int(tracker.experiment_id),
        "source_type": "UNKNOWN",
        "user_id": "",
    }
    statement = f"INSERT OR IGNORE INTO runs ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
    with closing(sqlite3.connect(tracker.uri.removeprefix(SQLITE))) as connection, connection:
        connection.execute(statement, list(values.values()))
