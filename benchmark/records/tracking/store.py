"""Where runs are kept, a file of this project or what ``MLFLOW_TRACKING_URI`` names; and their ends."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import project_home
from benchmark.records.record import Status
from benchmark.records.tracking.tags import TAG_LENGTH

EXPERIMENT = "benchmark"
SQLITE = "sqlite:///"
MLFLOW_STATUS = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "killed": "KILLED",
}


class Store:
    """An open MLflow store, and what is written of a run in it.

    Attributes
    ----------
    uri
        Its address.
    client
        MLflow's own connection to it.
    experiment_id
        The experiment that holds the runs.
    """

    def __init__(self, experiment: str = EXPERIMENT) -> None:
        home = project_home()
        self.uri = store_uri()
        with opened(self.uri, home) as self.client:
            self.experiment_id = self._experiment(experiment, home)

    def _experiment(self, name: str, home: Path) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        local = self.uri.startswith(SQLITE)
        where = (home / "mlartifacts").resolve().as_uri() if local else None
        return self.client.create_experiment(name, artifact_location=where)

    def log(self, run_id: str, numbers: dict[str, float], tags: dict[str, str]) -> None:
        """Set metrics and tags of a run: the tags in one transaction."""
        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 0) for name, value in numbers.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )

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


@contextmanager
def opened(uri: str, home: Path) -> Iterator[MlflowClient]:
    """Open a store and keep others from creating things in it meanwhile.

    A database file that is not there yet is made beside its place and put there when it is whole: two
    processes that create the tables of one file at once would break each other, and one that is killed
    would leave half of them.

    Raises
    ------
    BenchmarkError
        When the store cannot be used.
    """
    # Creating tables is reported at length, on the screen of somebody who asked for a score; and MLflow
    # prints the traceback of every error, which `readable` says in a sentence.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    with readable(uri), FileLock(home / ".mlflow.lock"):
        if uri.startswith(SQLITE):
            _create(Path(uri.removeprefix(SQLITE)))
        yield MlflowClient(uri)


def _create(path: Path) -> None:
    """Make a database with all tables, unless there is a file."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        MlflowClient(f"{SQLITE}{draft}").search_experiments()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def readable(uri: str) -> Iterator[None]:
    """Turn the store's own errors into one sentence, which says where the store is."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first = str(error).partition("\n")[0]
        raise BenchmarkError(
            f"The run store {uri} cannot be used ({first}); check MLFLOW_TRACKING_URI, "
            "or that the file is a database and its disk has room."
        ) from error
