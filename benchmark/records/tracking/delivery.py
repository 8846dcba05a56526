"""A result on its way into the store; where the store is away it waits in a folder, and is not lost."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import locked, project_home
from benchmark.records.record import Record, Status
from benchmark.records.tracking.store import Point, Store, readable
from benchmark.records.tracking.tags import board_tags, code_tags

_log = logging.getLogger("benchmark")

ABOUT = "delivery.json"


@dataclass(frozen=True)
class Delivery:
    """All that the store gets when a run has finished.

    Attributes
    ----------
    record
        What came of the run.
    points
        Numbers with their moments, so that what is delivered twice is the same, and kept once.
    files
        The run's files, the record not among them.
    """

    record: Record
    points: Sequence[Point] = ()
    files: Sequence[Path] = ()

    def deliver(self, store: Store) -> None:
        """Hand everything to the store, and only then call the run finished; it may be done again."""
        run_id = self.record.run_id
        with record_file(self.record) as path, readable(store.uri):
            for file in (*self.files, path):
                store.client.log_artifact(run_id, str(file))
            store.log_points(run_id, self.points)
            store.log(run_id, {}, {**code_tags(self.record), **board_tags(self.record)})
        store.close(run_id, "finished")

    def keep(self, uri: str) -> Path:
        """Write everything to a folder of the project, whole or not at all.

        Parameters
        ----------
        uri
            Of the store that it is for.
        """
        points = [[each.key, each.value, each.timestamp, each.step] for each in self.points]
        about = {"metrics": points, "record": self.record.model_dump(mode="json")}
        return _kept(self.record.run_id, {"uri": uri, **about}, self.files)

    def __str__(self) -> str:
        at = self.record.coordinates
        return f"The result of {at.method} on {at.dataset}"


@dataclass(frozen=True)
class Ending:
    """The end of a run that came to nothing, for a store that was away when it ended."""

    run_id: str
    status: Status
    reason: str

    def deliver(self, store: Store) -> None:
        """Write it down in the store; it may be done again."""
        store.close(self.run_id, self.status, self.reason)

    def keep(self, uri: str) -> Path:
        """Write it to a folder of the project, as `Delivery.keep` does."""
        return _kept(self.run_id, {"uri": uri, "ending": asdict(self)})

    def __str__(self) -> str:
        return f"That run {self.run_id[:8]} {self.status} ({self.reason})"


def _kept(run_id: str, about: Mapping[str, Any], files: Sequence[Path] = ()) -> Path:
    """Write what waits for a store to a folder, whole or not at all."""
    folder = waiting_room() / run_id
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        (draft / "files").mkdir(parents=True)
        for file in files:
            shutil.copy2(file, draft / "files")
        (draft / ABOUT).write_text(json.dumps(about))
        draft.replace(folder)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def _read(folder: Path, uri: str) -> Delivery | Ending | None:
    """Read what was kept; None where it is for another store."""
    about = json.loads((folder / ABOUT).read_text())
    if about["uri"] != uri:
        return None
    if "ending" in about:
        return Ending(**about["ending"])
    points = [Point(*values) for values in about["metrics"]]
    return Delivery(Record.model_validate(about["record"]), points, sorted((folder / "files").iterdir()))


def waiting_room() -> Path:
    """Return the folder of what could not be delivered."""
    return project_home() / "undelivered"


def deliver_all(store: Store) -> None:
    """Hand over what waits for this store; what cannot be delivered now is warned of, and goes on waiting."""
    if not _folders():
        return
    try:
        _deliver_all(store)
    except BenchmarkError as error:  # whoever only reads is not stopped
        _log.warning("Results in %s still wait for their run store: %s", waiting_room(), error)


def _deliver_all(store: Store) -> None:
    with locked(".undelivered.lock"):
        for folder in _folders():
            try:
                delivery = _read(folder, store.uri)
                if delivery is None:
                    continue
                delivery.deliver(store)
            except BenchmarkError as error:
                _log.warning("The result in %s still waits for its run store: %s", folder, error)
                continue
            # It leaves the waiting room whole: a kill amid the removal would leave what nobody can read.
            delivered = folder.with_name(f".{folder.name}.delivered")
            folder.replace(delivered)
            shutil.rmtree(delivered)
            _log.info("%s, which had waited, is in the run store now.", delivery)


def _folders() -> Sequence[Path]:
    if not waiting_room().is_dir():
        return []
    return sorted(path for path in waiting_room().iterdir() if not path.name.startswith("."))


@contextmanager
def record_file(record: Record) -> Iterator[Path]:
    """Write a record to ``record.json`` for as long as the block takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        path.write_text(record.model_dump_json(indent=1))
        yield path
