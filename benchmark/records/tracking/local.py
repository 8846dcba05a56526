"""Reading the usual store without MLflow, which takes seconds to import: a SQLite file that MLflow has made.

Read is what is asked here: the runs of an experiment by status and tags, the tags and files of one run.
Whatever is not as expected, be it the file, its tables or the question, is left to MLflow, which answers or
says what is wrong. Nothing is ever written.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from benchmark.records.tracking.tags import StoredRun, stored

SQLITE = "sqlite:///"
REVISION = "dc11669786a5"
"""Of MLflow's tables as they are read here; a store of another version is MLflow's business."""
PATIENCE = 2.0
"""Seconds that a writer is waited for; MLflow waits longer."""

_CONDITION = re.compile(r"(attributes\.status|tags\.\w+) = '([^']*)'")
_TAGGED = "EXISTS (SELECT 1 FROM tags AS t WHERE t.run_uuid = runs.run_uuid AND t.key = ? AND t.value = ?)"


class UnansweredError(Exception):
    """MLflow has to be asked."""


def experiment_id(uri: str, name: str) -> str:
    """Find an experiment by its name, in a store whose tables are known.

    Raises
    ------
    UnansweredError
        Where MLflow has to be asked, here and below.
    """
    with _reading(uri) as select:
        if select("SELECT version_num FROM alembic_version") != [(REVISION,)]:
            raise UnansweredError
        found = select(
            "SELECT experiment_id FROM experiments WHERE name = ? AND workspace = 'default'", [name]
        )
        return str(_only(found))


def runs(uri: str, experiment: str, query: str) -> list[StoredRun]:
    """Find the runs of an experiment that are not deleted, newest first.

    Parameters
    ----------
    uri
        Of the store.
    experiment
        Its id.
    query
        As MLflow takes it: equalities of ``attributes.status`` and tags, with "and" between them, or nothing.
    """
    conditions, values = _conditions(query)
    statement = (
        "SELECT runs.run_uuid, runs.start_time, tags.key, tags.value "
        "FROM runs LEFT JOIN tags ON tags.run_uuid = runs.run_uuid "
        f"WHERE {' AND '.join(['runs.experiment_id = ?', 'runs.lifecycle_stage = ?', *conditions])} "
        "ORDER BY runs.start_time DESC, runs.run_uuid"
    )
    with _reading(uri) as select:
        rows = select(statement, [experiment, "active", *values])
    return [
        stored(run_id, started, {key: value for *_, key, value in parts if key is not None})
        for (run_id, started), parts in groupby(rows, key=lambda row: row[:2])
    ]


def tags(uri: str, run_id: str) -> dict[str, str]:
    """Read the tags of one run."""
    with _reading(uri) as select:
        return dict(select("SELECT key, value FROM tags WHERE run_uuid = ?", [run_id]))


def curves(uri: str, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Read the numbers of one run that are kept by step: name -> (step, value)."""
    with _reading(uri) as select:
        rows = select(
            "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY key, step", [run_id]
        )
    return {
        name: [(int(step), math.nan if is_nan else float(value)) for _, step, value, is_nan in points]
        for name, points in groupby(rows, key=lambda row: row[0])
    }


def file_of(uri: str, run_id: str, name: str) -> Path:
    """Find a file of one run where it is kept."""
    with _reading(uri) as select:
        folder = urlsplit(_only(select("SELECT artifact_uri FROM runs WHERE run_uuid = ?", [run_id])))
    path = Path(url2pathname(folder.path)) / name
    if folder.scheme != "file" or folder.netloc or not path.is_file():
        raise UnansweredError
    return path


def _conditions(query: str) -> tuple[list[str], list[str]]:
    """Say in SQL what a query asks of a run, and give the values apart from it."""
    conditions: list[str] = []
    values: list[str] = []
    for part in query.split(" and ") if query else []:
        found = _CONDITION.fullmatch(part)
        if found is None:
            raise UnansweredError
        kind, _, name = found[1].partition(".")
        conditions.append(_TAGGED if kind == "tags" else "runs.status = ?")
        values += [name, found[2]] if kind == "tags" else [found[2]]
    return conditions, values


@contextmanager
def _reading(uri: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Give what runs a statement on the file of a store, in no other way than reading."""
    if not uri.startswith(SQLITE):
        raise UnansweredError
    file = Path(uri.removeprefix(SQLITE)).resolve().as_uri()
    try:
        with closing(sqlite3.connect(f"{file}?mode=ro", uri=True, timeout=PATIENCE)) as connection:
            yield lambda statement, values=(): connection.execute(statement, values).fetchall()
    except sqlite3.Error as error:
        raise UnansweredError from error


def _only(rows: Sequence[tuple[Any, ...]]) -> Any:
    """The one value that was asked for."""
    if len(rows) != 1:
        raise UnansweredError
    return rows[0][0]
