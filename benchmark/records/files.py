"""Records as files: a board can be made again from a folder of them, without a run store.

What a board shows is computed from what each run scored on each perturbation. So the records of the runs that
stand on it are kept in the repository, one compressed file each, and whoever has a checkout can make the
board again, compare two of its rows, or put a row of their own beside them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import replacing
from benchmark.records.record import Coordinates, Record
from benchmark.records.tracking import StoredRun, board_tags, coordinate_tags

SUFFIX = ".json.gz"
DIGITS = 6
"""Significant digits of the scores, as many as the tags of a run have."""


def record_path(folder: Path, at: Coordinates) -> Path:
    """Return where the record of a run belongs.

    One that differs in nothing but the code that it ran has the same place, as it has on the board, where the
    newest of them stands.
    """
    run = StoredRun("", "finished", 0.0, coordinate_tags(at))
    digest = hashlib.sha256(json.dumps(_identity(run)).encode()).hexdigest()[:12]
    dataset, split, method = (re.sub(r"[^\w.-]+", "_", name) for name in (at.dataset, at.split, at.method))
    return folder / dataset / f"{split}-{at.seed}" / f"{method}-{digest}{SUFFIX}"


def write_record(record: Record, folder: Path) -> Path:
    """Write a record below a folder; the same record gives the same bytes.

    Returns
    -------
    Path
        As `record_path` has it. An older record of the same run, there before, is replaced.
    """
    content = record.model_dump(mode="json")
    content["scores"] = {
        name: [None if value is None else float(f"{value:.{DIGITS}g}") for value in values]
        for name, values in record.scores.items()
    }
    text = json.dumps(content, separators=(",", ":"))
    path = record_path(folder, record.coordinates)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_bytes(gzip.compress(text.encode(), mtime=0))
    return path


def read_record(path: Path) -> Record:
    """Read one record.

    Raises
    ------
    BenchmarkError
        When the file is damaged, or no record.
    """
    try:
        return Record.model_validate_json(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise BenchmarkError(
            f"{path} is not a record ({reason}); take the file away or get it again."
        ) from error


def read_records(folder: Path) -> list[Record]:
    """Read all records below a folder, newest first.

    Raises
    ------
    BenchmarkError
        When there is none, or one cannot be read.
    """
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    if not paths:
        raise BenchmarkError(f"There is no record below {folder}; `python -m benchmark publish` writes them.")
    return sorted((read_record(path) for path in paths), key=lambda record: record.started, reverse=True)


def as_stored(record: Record) -> StoredRun:
    """Turn a record into the run that a store would return."""
    started = datetime.fromisoformat(record.started).timestamp()
    return StoredRun(
        record.run_id, record.status, started, coordinate_tags(record.coordinates) | board_tags(record)
    )


def newest(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Of finished runs that differ in nothing but the code that they ran, keep the newest.

    Parameters
    ----------
    runs
        Newest first, as a store returns them.
    """
    kept: dict[tuple[str, ...], StoredRun] = {}
    for run in runs:
        if run.status == "finished" and run.is_readable:
            kept.setdefault(_identity(run), run)
    return list(kept.values())


def _identity(run: StoredRun) -> tuple[str, ...]:
    """What tells records apart; a point of a curve is another record than the row that it belongs to."""
    names = ("dataset_digest", "split_digest", "seed")
    part = [f"{name} {run.tags[name]}" for name in ("budget", "train_share") if name in run.tags]
    return (*run.row_key, *(run.tags[name] for name in names), *(part if run.is_part else []))
