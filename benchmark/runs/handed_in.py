"""Scores of predictions that came from anywhere, kept on the board where they are given a name."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.board import BOUNDS, SUBMITTED
from benchmark.data import Dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.controls import count_controls
from benchmark.evaluation.forms import unpacked
from benchmark.evaluation.independence import require_independence
from benchmark.evaluation.scoring import score
from benchmark.evaluation.submission import Submission, read_submission
from benchmark.records.archive import file_digest
from benchmark.records.record import Coordinates, Record
from benchmark.records.tracking import Tracker
from benchmark.registry import list_methods
from benchmark.runs.keep import Clock, keep_results
from benchmark.splits import Split
from benchmark.splits.views import held_out_cells

ARCHIVE = "predictions.h5ad"


@dataclass(frozen=True)
class Scored:
    """A submission with its scores.

    Attributes
    ----------
    submission
        What was read from the file.
    scores
        As `benchmark.evaluation.metrics.evaluate.evaluate` returns them.
    record
        What was recorded, where a name was given.
    """

    submission: Submission
    scores: pd.DataFrame
    record: Record | None


def score_file(
    path: Path, dataset: Dataset, split: Split, *, name: str | None = None, **reading: Any
) -> Scored:
    """Score the predictions in a file, and record them as a finished run where they are given a name.

    The run keeps a copy of the file, so that it can be rescored. A file that is on record already, under the
    same name and read in the same way, is not recorded again.

    Parameters
    ----------
    path
        An .h5ad file, see `read_submission`, or a package of `vcc prep`, of which the file in it is kept.
    dataset, split
        What was predicted.
    name
        Stands on the board in the place of a method's.
    reading
        How the file is read: what `read_submission` takes beside `seed`, which is that of the split.

    Raises
    ------
    BenchmarkError
        When the name is taken by a method, or the file cannot be read or scored; nothing is recorded then.
    """
    if name is not None:
        check_name(name)
    with unpacked(path) as file:
        packed = {"holds": "counts"} if file != path else {}
        return _score_file(file, dataset, split, name, {**packed, **reading})


def _score_file(
    path: Path, dataset: Dataset, split: Split, name: str | None, reading: Mapping[str, Any]
) -> Scored:
    submission = read_submission(path, dataset, split, seed=split.seed, **reading)
    scores = score_submission(submission, dataset, split)
    if name is None:
        return Scored(submission, scores, None)
    coordinates = Coordinates(
        method=name,
        method_version="1",
        configuration=SUBMITTED,
        config={},
        source_digest=file_digest(path),
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        split=split.scheme,
        split_digest=split.digest,
        seed=split.seed,
        cells=submission.cells,
    )
    return Scored(
        submission, scores, _recorded(path, coordinates, dataset, split, submission, scores, reading)
    )


def score_submission(submission: Submission, dataset: Dataset, split: Split) -> pd.DataFrame:
    """Score what was read from a file.

    Raises
    ------
    BenchmarkError
        When it cannot be scored, or cannot have been made without the test cells.
    """
    scores = score(dataset, split, submission.predicted, submission.predicts)
    require_independence(held_out_cells(dataset, split), scores.drop(index=list(submission.fallbacks)))
    return scores


def check_name(name: str) -> None:
    """Refuse a name that is no word, or that a method has already, in whatever case."""
    if not re.fullmatch(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_.()+-]+", name):
        raise BenchmarkError(
            f"--name is '{name}', but a name on the board is made of letters of English, digits and "
            "_ - + . ( ), with a letter or digit among them; choose another."
        )
    names = [*BOUNDS, *(listing.name for listing in list_methods())]
    taken = {other.casefold(): other for other in names}.get(name.casefold())
    if taken is not None:
        raise BenchmarkError(f"--name is '{name}', but '{taken}' is a row of this harness; choose another.")


def _recorded(
    path: Path,
    coordinates: Coordinates,
    dataset: Dataset,
    split: Split,
    submission: Submission,
    scores: pd.DataFrame,
    reading: Mapping[str, Any],
) -> Record:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    tracker = Tracker()
    earlier = tracker.finished(coordinates.key)
    if earlier is not None and earlier.reading == reading and set(earlier.metrics) == set(scores):
        return earlier
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        copy = Path(folder) / ARCHIVE
        shutil.copyfile(path, copy)
        if file_digest(copy) != coordinates.source_digest:
            raise BenchmarkError(f"{path} changed while it was scored; score it again.")
        with tracker.recording(coordinates) as recording:
            return keep_results(
                recording,
                coordinates,
                split,
                scores,
                started=started,
                device="unknown",
                controls=count_controls(dataset, split),
                clock=Clock(),
                fallbacks=submission.fallbacks,
                archive=copy,
                digest=coordinates.source_digest,
                reading=reading,
            )
