"""A result on its way into the store; where the store is away it waits in a folder, and is not lost."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import project_home
from benchmark.records.record import Record
from benchmark.records.tracking.store import Point, Store, readable
from benchmark.records.tracking.tags import board_tags, code_tags

_log = logging.getLogger("benchmark")


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
        folder = waiting_room() / self.record.run_id
        draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        try:
            (draft / "files").mkdir(parents=True)
            for file in self.files:
                shutil.copy2(file, draft / "files")
            points = [[each.key, each.value, each.timestamp, each.step] for each in self.points]
            about = {"uri": uri, "metrics": points, "record": self.record.model_dump(mode="json")}
            (draft / "delivery.json").write_text(json.dumps(about))
            draft.replace(folder)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return folder

    @classmethod
    def read(cls, folder: Path, uri: str) -> Delivery | None:
        """Read what `keep` wrote; None where it is for another store."""
        about = json.loads((folder / "delivery.json").read_text())
        if about["uri"] != uri:
            return None
        points = [Point(*values) for values in about["metrics"]]
        return cls(Record.model_validate(about["record"]), points, sorted((folder / "files").iterdir()))


def waiting_room() -> Path:
    """Return the folder of what could not be delivered."""
    return project_home() / "undelivered"


def deliver_all(store: Store) -> None:
    """Hand over what waits for this store; what cannot be delivered now is warned of, and goes on waiting."""
    if not waiting_room().is_dir():
        return
    with FileLock(project_home() / ".undelivered.lock"):
        for folder in _folders():
            try:
                delivery = Delivery.read(folder, store.uri)
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
            at = delivery.record.coordinates
            _log.info(
                "The result of %s on %s, which had waited, is in the run store now.", at.method, at.dataset
            )


def _folders() -> Iterable[Path]:
    return sorted(path for path in waiting_room().iterdir() if not path.name.startswith("."))


@contextmanager
def record_file(record: Record) -> Iterator[Path]:
    """Write a record to ``record.json`` for as long as the block takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        path.write_text(record.model_dump_json(indent=1))
        yield path
