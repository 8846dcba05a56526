"""Finished runs and what they rest on: one run found by what people call it, its data, what it predicted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from benchmark.data import Dataset
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import METRICS, Reference
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.evaluation.scoring import References, references_of
from benchmark.evaluation.submission import Predicts, read_submission
from benchmark.records.archive import file_digest, read_archive
from benchmark.records.record import Record
from benchmark.records.tracking import StoredRun, Tracker
from benchmark.splits import Split, frozen_split, split_file

LATEST = "latest"
"""What the newest finished run is called."""
SHOWN = 8
"""Characters of a run id that are shown, and runs that are named where several fit."""


class Place(NamedTuple):
    """What a run was scored on, as its tags have it."""

    dataset: str
    dataset_digest: str
    split: str
    seed: str
    split_digest: str

    @classmethod
    def of(cls, run: StoredRun) -> Place:
        """Read it off a run."""
        return cls(*(run.tags.get(name, "") for name in cls._fields))


class Question(NamedTuple):
    """What is loaded once for all runs of a place."""

    dataset: Dataset
    split: Split
    references: References

    @property
    def reference(self) -> Reference:
        """What everything is measured against, where one context is tested.

        Raises
        ------
        BenchmarkError
            When several are.
        """
        if len(self.references) > 1:
            raise BenchmarkError(
                f"The split {self.split.scheme}-{self.split.seed} tests {len(self.references)} contexts, and "
                "this is for one; take a split that tests one, such as contexts."
            )
        return next(iter(self.references.values()))


def finished_run(runs: Sequence[StoredRun], called: str) -> StoredRun:
    """Find one finished run.

    Parameters
    ----------
    runs
        Newest first, as `Tracker.runs` gives them.
    called
        "latest"; the beginning of a run id, or of the key of its coordinates; or the name of a method that
        was run with one set of coordinates alone. Of runs with the same coordinates the newest is meant.

    Raises
    ------
    BenchmarkError
        When no finished run is called so, or several are.
    """
    usable = [run for run in runs if run.status == "finished" and run.is_readable]
    if not usable:
        raise BenchmarkError(
            "No run has finished yet; `python -m benchmark run --method additive` makes the first."
        )
    if called == LATEST:
        return usable[0]
    exact = [run for run in usable if called == run.run_id]
    found = exact or [
        run
        for run in usable
        if called == run.tags["method"] or (called and _begins(called, run.run_id, run.tags["key"]))
    ]
    different = {run.tags["key"]: run for run in reversed(found)}
    if not different:
        names = {run.tags["method"] for run in usable} | {run.run_id[:SHOWN] for run in usable}
        raise unknown("finished run", called, names, "`leaderboard --format json` has ids")
    if len(different) > 1:
        named = [f"{run.run_id[:SHOWN]} ({run_title(run)})" for run in list(different.values())[::-1][:SHOWN]]
        more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
        raise BenchmarkError(
            f"'{called}' fits {len(different)} runs; name one by its id: {', '.join(named)}{more}."
        )
    return found[0]


def _begins(called: str, *names: str) -> bool:
    return any(name.startswith(called) for name in names)


def run_title(run: StoredRun) -> str:
    """Method, configuration, data, split and seed of a run."""
    tags = run.tags
    settings = tags.get("configuration", "default")
    what = tags["method"] if settings == "default" else f"{tags['method']}, {settings}"
    return f"{what}, {tags['dataset']} {tags['split']}-{tags['seed']}"


def read_record(tracker: Tracker, run: StoredRun) -> Record:
    """Read the record of a run.

    Raises
    ------
    BenchmarkError
        When it was written by a version whose records are no longer read.
    """
    try:
        return tracker.record(run.run_id)
    except ValidationError as error:
        raise BenchmarkError("its record is of an older version; run it again.") from error


def question_of(place: Place, load: Callable[[str], Dataset]) -> Question:
    """Load data, split and reference of a place, which must be those that the runs were scored on."""
    dataset = load(place.dataset)
    path = split_file(place.dataset, place.split, int(place.seed))
    if path is None:
        raise BenchmarkError(
            f"there is no frozen split {place.split}-{place.seed} of {place.dataset}; restore its file."
        )
    if dataset.digest != place.dataset_digest:
        raise BenchmarkError(
            f"its data set has the digest {dataset.digest[:12]} now, not {place.dataset_digest[:12]}; "
            "restore that, or run it again."
        )
    split = frozen_split(dataset, place.split, int(place.seed), place.split_digest)
    return Question(dataset, split, references_of(dataset, split))


def predictions(
    tracker: Tracker, record: Record, question: Question, folder: Path
) -> tuple[Mapping[str, Matrix], Predicts]:
    """Fetch what a run predicted, cells by test perturbation, and whether it claims cells or means.

    Parameters
    ----------
    tracker
        Where the run is.
    record
        Its record, with an archive.
    question
        What it answered.
    folder
        Where the archive is put; it must stay while the cells are used.

    Raises
    ------
    BenchmarkError
        When the archive is not the file that was recorded.
    """
    path = tracker.artifact(record.run_id, record.archive, folder)
    if file_digest(path) != record.archive_sha256:
        raise BenchmarkError(
            f"its archive {record.archive} is not the file that was recorded (another SHA-256); run it again."
        )
    dataset, split, _ = question
    if record.reading:
        submission = read_submission(path, dataset, split, seed=split.seed, **record.reading)
        return submission.predicted, submission.predicts
    return read_archive(path, list(dataset.adata.var_names)), claimed(record.metric_versions)


def metric_versions(run: StoredRun) -> dict[str, str]:
    """Version of each metric that a run was scored with."""
    return json.loads(run.tags.get("metric_versions", "{}"))


def claimed(recorded: Mapping[str, str]) -> Predicts:
    """What a run predicted: metrics that need single cells were applied to those alone that give them."""
    needs = {METRICS[name].spec.needs for name in recorded if name in METRICS}
    return "cells" if "cells" in needs else "mean"
