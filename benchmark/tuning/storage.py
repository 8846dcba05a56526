"""The database that studies are kept in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import project_home

WAIT = 60
"""Seconds that a process waits for another that writes to a file of SQLite."""


def address(url: str | None) -> str:
    """The address that is given, or that of the file ``tuning.db`` of the project."""
    return url or f"sqlite:///{project_home() / 'tuning.db'}"


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Open a database, and make the tables of Optuna where there are none."""
    patient = {"connect_args": {"timeout": WAIT}} if url.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(url, engine_kwargs=patient)


@contextmanager
def usable(url: str) -> Iterator[None]:
    """Turn the errors of a database into one sentence, without its password."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, OSError, RuntimeError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise BenchmarkError(
            f"The studies in {_without_password(url)} cannot be used ({first}); check --storage, that its "
            "server answers, or that the file is a database and its disk has room."
        ) from error


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return f"'{url}'"
