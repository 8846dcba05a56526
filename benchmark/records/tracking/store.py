"""Where runs are kept, a file of this project or what ``MLFLOW_TRACKING_URI`` names; and their ends."""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import locked, project_home, unwritable
from benchmark.records.record import Status
from benchmark.records.tracking import local
from benchmark.records.tracking.local import SQLITE
from benchmark.records.tracking.tags import TAG_LENGTH

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "benchmark"
PAGE = 1000
ODD = "%?"
"""Letters that have a meaning of their own in the address of a store."""
MLFLOW_STATUS = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "killed": "KILLED",
}


class Point(NamedTuple):
    """One value of a number that is kept of a run, with its moment in milliseconds."""

    key: str
    value: float
    timestamp: int
    step: int


class Store:
    """An open MLflow store, and what is written of a run in it.

    Others are kept from creating things in it while it is opened.

    Attributes
    ----------
    uri
        Its address.
    experiment_id
        The experiment that holds the runs.

    Raises
    ------
    BenchmarkError
        When the store cannot be used.
    """

    def __init__(self, experiment: str = EXPERIMENT) -> None:
        home = project_home()
        self.uri = store_uri()
        _require_plain(self.uri)
        # A store that is there is read also where nothing can be written.
        with readable(self.uri), suppress(local.UnansweredError):
            self.experiment_id = local.experiment_id(self.uri, experiment)
            return
        with readable(self.uri), alone():
            self.experiment_id = self._experiment(experiment, home)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's own connection to it, made when it is first needed."""
        with readable(self.uri):
            return _connected(self.uri)

    def _experiment(self, name: str, home: Path) -> str:
        if self.uri.startswith(SQLITE):
            _create(Path(self.uri.removeprefix(SQLITE)))
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        local = self.uri.startswith(SQLITE)
        where = (home / "mlartifacts").resolve().as_uri() if local else None
        return self.client.create_experiment(name, artifact_location=where)

    def log(self, run_id: str, numbers: dict[str, float], tags: dict[str, str]) -> None:
        """Set metrics and tags of a run: the tags in one transaction."""
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 0) for name, value in numbers.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )

    def log_points(self, run_id: str, points: Sequence[Point]) -> None:
        """Add values to the metrics of a run; one that is there already is not added again."""
        from mlflow.entities import Metric

        metrics = [Metric(each.key, each.value, each.timestamp, each.step) for each in points]
        for start in range(0, len(metrics), PAGE):
            self.client.log_batch(run_id, metrics=metrics[start : start + PAGE])

    def close(self, run_id: str, status: Status, reason: str = "") -> None:
        """End a run with its status and, where it is no success, the reason.

        A run that was called killed while its result waited for the store loses that reason.
        """
        with readable(self.uri):
            self.log(run_id, {}, {"status": status, "reason": reason[:TAG_LENGTH]})
            self.client.set_terminated(run_id, MLFLOW_STATUS[status])


def store_uri() -> str:
    """Return the address of the store: ``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{project_home() / 'mlflow.db'}"


def alone() -> AbstractContextManager[None]:
    """Keep other processes of this project home from creating things in the store meanwhile."""
    return locked(".mlflow.lock")


def _require_plain(uri: str) -> None:
    """Refuse at once a path that MLflow would take for another, and try in vain for minutes."""
    odd = [letter for letter in ODD if letter in uri]
    if uri.startswith(SQLITE) and odd:
        raise BenchmarkError(
            f"The run store cannot be {uri.removeprefix(SQLITE)}: MLflow does not take '{odd[0]}' in a path; "
            "set BENCHMARK_HOME to a folder without it."
        )


def _connected(uri: str) -> MlflowClient:
    """Connect to a store that is there."""
    from mlflow.tracking import MlflowClient

    # Creating tables is reported at length, on the screen of somebody who asked for a score; and MLflow
    # prints the traceback of every error, which `readable` says in a sentence. It sets levels when imported.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    return MlflowClient(uri)


def _create(path: Path) -> None:
    """Make a database with all tables, unless there is a file.

    It is made beside its place and put there when it is whole: two processes that create the tables of one
    file at once would break each other, and one that is killed would leave half of them.
    """
    if path.exists():
        return
    if not os.access(path.parent, os.W_OK):  # MLflow would try for minutes
        code = errno.EACCES if path.parent.is_dir() else errno.ENOENT
        raise unwritable(OSError(code, os.strerror(code)), path.parent)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        _connected(f"{SQLITE}{draft}").search_experiments()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def readable(uri: str) -> Iterator[None]:
    """Turn the store's own errors into one sentence, which says where the store is."""
    try:
        yield
    except _troubles() as error:
        first = str(error).partition("\n")[0]
        raise BenchmarkError(
            f"The run store {uri} cannot be used ({first}); check MLFLOW_TRACKING_URI, "
            "or that the file is a database that can be written, on a disk with room."
        ) from error


def _troubles() -> tuple[type[Exception], ...]:
    """What a store may raise; nothing comes from a library that has not been imported."""
    kinds = {"mlflow.exceptions": "MlflowException", "sqlalchemy.exc": "SQLAlchemyError"}
    return OSError, *(getattr(sys.modules[name], kind) for name, kind in kinds.items() if name in sys.modules)
