"""The trials of a study as runs of MLflow, below one run of the study, for those who look there.

They are in an experiment of their own, which no board reads. What decides is in the database of the study:
trouble here is warned of, and the tuning goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmark.machine.alive import this_process
from benchmark.records.record import Status
from benchmark.records.tracking import TAG_LENGTH, Tracker
from benchmark.tuning.study import Outcome

EXPERIMENT = "tuning"
PARENT = "mlflow.parentRunId"

_log = logging.getLogger("benchmark")


class Journal:
    """Writes runs of one study; its own run is found again by the name of the study.

    Parameters
    ----------
    study
        Name of the study.
    tags
        What is said of the study.
    """

    def __init__(self, study: str, tags: Mapping[str, str]) -> None:
        self._study, self._tags = study, dict(tags)
        self._tracker = Tracker(EXPERIMENT)
        self.run_id = ""
        with _trouble():
            self.run_id = self._found() or self._create(study, {"role": "study"})

    def open(self) -> None:
        """Say that the study is worked on, and which of its runs have ended without a word."""
        with _trouble():
            self._tracker.client.update_run(self.run_id, status="RUNNING")
            self._tracker.log(self.run_id, {}, {"status": "running", **this_process()})
            self._tracker.close_dead_runs()

    def begin(self, number: int, values: Mapping[str, Any]) -> str:
        """Open the run of a trial with the values of what is tuned, and return its id."""
        run_id = ""
        with _trouble():
            run_id = self._create(f"trial {number}", {"role": "trial", PARENT: self.run_id})
            for name, value in values.items():
                self._tracker.client.log_param(run_id, name, str(value)[:TAG_LENGTH])
        return run_id

    def end(
        self, run_id: str, status: Status, outcome: Outcome, curves: dict[str, list[tuple[int, float]]]
    ) -> None:
        """Close the run of a trial with what came of it."""
        numbers = {"seconds": outcome.seconds, **(outcome.metrics or {})}
        if outcome.value is not None:
            numbers["value"] = outcome.value
        with _trouble():
            self._tracker.log_curves(run_id, curves)
            self._tracker.log(run_id, numbers, {"state": outcome.state.name.lower()})
            self._tracker.close(run_id, status, outcome.reason)

    def close(self, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
        """Close the run of the study with its result."""
        with _trouble():
            for file in files:
                self._tracker.client.log_artifact(self.run_id, str(file))
            self._tracker.log(self.run_id, dict(numbers), {})
            self._tracker.close(self.run_id, "finished")

    def abandon(self, status: Status, reason: str) -> None:
        """Close the run of a study that did not come to its end this time."""
        with _trouble():
            self._tracker.close(self.run_id, status, reason)

    def _found(self) -> str | None:
        runs = self._tracker.runs(f"tags.study = '{self._study}' and tags.role = 'study'")
        return runs[0].run_id if runs else None

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        everything = {
            **self._tags,
            **tags,
            **this_process(),
            "study": self._study,
            "status": "running",
            "mlflow.runName": name,
        }
        return self._tracker.client.create_run(self._tracker.experiment_id, tags=everything).info.run_id


@contextmanager
def _trouble() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a server or its client comes up with
        first = str(error).partition("\n")[0]
        _log.warning("A trial is not in the run store (%s); the study has it, and goes on.", first)
