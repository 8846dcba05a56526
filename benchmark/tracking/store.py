"""Where runs are kept: a file of this project, or what ``MLFLOW_TRACKING_URI`` names."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import project_home

SQLITE = "sqlite:///"


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
