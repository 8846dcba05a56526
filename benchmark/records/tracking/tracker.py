"""The store of runs: found, opened, closed, read again."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from benchmark.errors import BenchmarkError
from benchmark.failures import reason_of
from benchmark.records.record import Coordinates, Record, Status
from benchmark.records.tracking import local
from benchmark.records.tracking.delivery import Ending, deliver_all, record_file
from benchmark.records.tracking.open_run import Curves, Recording, as_points, numbers_of
from benchmark.records.tracking.store import EXPERIMENT, PAGE, Store, readable
from benchmark.records.tracking.tags import ANCHOR, SCORES, StoredRun, board_tags, coordinate_tags, stored

if TYPE_CHECKING:
    from mlflow.entities import Run

RECORD = "record"
"""Name of the tag that says which file holds the record, where it was written anew."""


class Tracker(Store):
    """The store with all that is asked of it; what had to wait for it is delivered when it is opened."""

    def __init__(self, experiment: str = EXPERIMENT) -> None:
        super().__init__(experiment)
        deliver_all(self)

    def runs(self, query: str = "") -> list[StoredRun]:
        """All runs, newest first; one whose process has ended without a word counts as killed."""
        with suppress(local.UnansweredError):
            return local.runs(self.uri, self.experiment_id, query)
        found: list[StoredRun] = []
        token = None
        with readable(self.uri):
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
        with suppress(local.UnansweredError), readable(self.uri):
            name = local.tags(self.uri, run_id).get(RECORD, "record.json")
            return Record.model_validate_json(local.file_of(self.uri, run_id, name).read_text())
        with tempfile.TemporaryDirectory() as folder, readable(self.uri):
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
        with suppress(local.UnansweredError), readable(self.uri):
            return Path(shutil.copy(local.file_of(self.uri, run_id, name), folder))
        with readable(self.uri):
            if name not in {file.path for file in self.client.list_artifacts(run_id)}:
                raise BenchmarkError(f"its file {name} is not in the run store; run it again with --force.")
            return Path(self.client.download_artifacts(run_id, name, str(folder)))

    def curves(self, run_id: str) -> dict[str, list[tuple[int, float]]]:
        """Read the numbers of one run that are kept by step: name -> (step, value), in order."""
        with suppress(local.UnansweredError), readable(self.uri):
            return local.curves(self.uri, run_id)
        with readable(self.uri):
            return {
                name: sorted(
                    (point.step, point.value) for point in self.client.get_metric_history(run_id, name)
                )
                for name in self.client.get_run(run_id).data.metrics
            }

    def remove(self, run_id: str) -> None:
        """Take a run out of the store, with its files where they are on this machine.

        MLflow keeps what it knows of a removed run until its own ``mlflow gc``, on a server the files, too.
        """
        with readable(self.uri):
            folder = self.client.get_run(run_id).info.artifact_uri
            self.client.delete_run(run_id)
            place = urlsplit(folder)
            files = Path(url2pathname(place.path)).parent
            if place.scheme == "file" and files.name == run_id:
                shutil.rmtree(files, ignore_errors=True)

    def replace_record(self, record: Record, files: Sequence[Path] = ()) -> None:
        """Keep another record of a finished run, with its files; what it said before stays beside it.

        The new files get a folder of their own, and one transaction of the store turns to them with all that
        the board reads. Until then, whatever happens, the run is the old one; an MLflow metric may then be
        new already, which nothing reads but the MLflow pages.
        """
        text = record.model_dump_json(indent=1)
        folder_name = f"renewed-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        with record_file(record) as path, readable(self.uri):
            for file in (*files, path):
                self.client.log_artifact(record.run_id, str(file), folder_name)
            before = self.client.get_run(record.run_id).data.tags
            # Tags cannot be deleted in the same transaction: parts that are no longer needed are emptied.
            tags = {name: "" for name in before if name.startswith(f"{SCORES}.")}
            tags |= {**board_tags(record), RECORD: f"{folder_name}/{path.name}"}
            self.log(record.run_id, numbers_of(record), tags)

    def log_curves(self, run_id: str, curves: Curves) -> None:
        """Log named series of (step, value) of a run."""
        with readable(self.uri):
            self.log_points(run_id, as_points(curves))

    def close_dead_runs(self) -> None:
        """Write down for runs whose process has ended without a word that they were killed."""
        for run in self.runs("attributes.status = 'RUNNING'"):
            # A process may have finished its run between the query and the look at the process.
            if run.status == "killed" and self._still(run.run_id) == "killed":
                self.close(run.run_id, "killed", "the process ended without a word")

    def _still(self, run_id: str) -> Status:
        with readable(self.uri):
            return _stored(self.client.get_run(run_id)).status

    @contextmanager
    def recording(self, coordinates: Coordinates, is_anchor: bool = False) -> Iterator[Recording]:
        """Open a run; whatever ends the block ends the run with the status that fits.

        Parameters
        ----------
        coordinates
            What is run.
        is_anchor
            Whether nobody asked for it, and it stands beside what was asked for.
        """
        from benchmark.machine.alive import this_process

        at = coordinates
        with readable(self.uri):
            tags = {
                **coordinate_tags(at),
                "status": "running",
                ANCHOR: str(is_anchor).lower(),
                **this_process(),
                "mlflow.runName": f"{at.method} {at.dataset} {at.split}-{at.seed}",
            }
            run = self.client.create_run(
                self.experiment_id, tags={name: str(value) for name, value in tags.items()}
            )
            recording = Recording(self, run.info.run_id)
            recording.write_parameters(coordinates)
        try:
            with recording.monitor:
                yield recording
        except KeyboardInterrupt:
            self._close_after_trouble(run.info.run_id, "interrupted", "stopped from the keyboard")
            raise
        except BaseException as error:
            self._close_after_trouble(run.info.run_id, "failed", reason_of(error))
            raise

    def _close_after_trouble(self, run_id: str, status: Status, reason: str) -> None:
        """End a run without hiding what ended it; a store that is away is told when it is back."""
        try:
            self.close(run_id, status, reason)
        except BenchmarkError as trouble:
            Ending(run_id, status, reason).keep(self.uri)
            logging.getLogger("benchmark").warning(
                "%s That the run %s is written down when the store is back.", trouble, status
            )


def _stored(run: Run) -> StoredRun:
    return stored(run.info.run_id, run.info.start_time, run.data.tags)
