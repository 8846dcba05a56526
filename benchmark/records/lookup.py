"""Finished runs and what they rest on: one run found by what people call it, its data, what it predicted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from benchmark.data import Dataset
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.evaluation.scoring import BOUNDS, References, references_of
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


@dataclass(frozen=True)
class Within:
    """Which runs are meant; None: whichever.

    Attributes
    ----------
    dataset
        Name of a data set.
    dataset_digest
        Of a data set that was given as a file, whatever it was called.
    split, seed
        On which split.
    method, state
        Of which method, and how they ended.
    """

    dataset: str | None = None
    split: str | None = None
    seed: int | None = None
    method: str | None = None
    state: str | None = None
    dataset_digest: str | None = None

    def __contains__(self, run: StoredRun) -> bool:
        tags = {**run.tags, "state": run.status}
        return all(wanted is None or tags.get(name) == str(wanted) for name, wanted in asdict(self).items())

    def __str__(self) -> str:
        return ", ".join(
            f"{name.replace('_', ' ')} {wanted}"
            for name, wanted in asdict(self).items()
            if wanted is not None
        )


ALL = Within()


class Question(NamedTuple):
    """What is loaded once for all runs of a place."""

    dataset: Dataset
    split: Split
    references: References


def finished_run(runs: Sequence[StoredRun], called: str, within: Within = ALL) -> StoredRun:
    """Find one finished run.

    Parameters
    ----------
    runs
        Newest first, as `Tracker.runs` gives them.
    called
        "latest", the newest that was asked for: no bound, and none that was recorded beside another; the
        beginning of a run id, or of the key of its coordinates; or the name of a method that was run with one
        set of coordinates alone. Of runs with the same coordinates the newest is meant.
    within
        Among which runs.

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
    usable = [run for run in usable if run in within]
    if not usable:
        raise BenchmarkError(f"No finished run has {within}; `python -m benchmark runs` lists what there is.")
    if called == LATEST:
        asked = [run for run in usable if run.tags["method"] not in BOUNDS and not run.is_anchor]
        if not asked:
            raise BenchmarkError("No method was run, only bounds; name a run by its id, which `runs` lists.")
        return asked[0]
    found = called_so(usable, called)
    different = {run.tags["key"]: run for run in reversed(found)}
    if not different:
        names = {run.tags["method"] for run in usable} | {run.run_id[:SHOWN] for run in usable}
        raise unknown("finished run", called, names, "`python -m benchmark runs` lists their ids")
    if len(different) > 1:
        raise several(called, list(different.values())[::-1])
    return found[0]


def called_so(runs: Sequence[StoredRun], called: str) -> list[StoredRun]:
    """Return the runs that a text means: one with that id, else all whose id, key or method fits."""
    return [run for run in runs if called == run.run_id] or [
        run
        for run in runs
        if called == run.tags.get("method")
        or (called and any(name.startswith(called) for name in (run.run_id, run.tags.get("key", ""))))
    ]


def several(called: str, runs: Sequence[StoredRun]) -> BenchmarkError:
    """Build the error for a text that means more than one run."""
    named = ", ".join(f"{run.run_id[:SHOWN]} ({run_title(run)})" for run in runs[:SHOWN])
    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    return BenchmarkError(
        f"'{called}' fits {len(runs)} runs; name one by its id, or narrow them with --dataset, --split and "
        f"--seed: {named}{more}."
    )


def run_title(run: StoredRun) -> str:
    """Method, configuration, data, split and seed of a run."""
    tags = run.tags
    settings = tags.get("configuration", "default")
    what = tags.get("method", "?") if settings == "default" else f"{tags.get('method', '?')}, {settings}"
    return f"{what}, {tags.get('dataset', '?')} {tags.get('split', '?')}-{tags.get('seed', '?')}"


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
