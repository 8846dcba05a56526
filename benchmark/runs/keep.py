"""What a run comes to: the record of its scores, kept with the files that belong to it."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.evaluation.metrics import METRICS
from benchmark.records.record import Coordinates, Record, Summary, Tuning, software_versions
from benchmark.records.tracking import Recording
from benchmark.splits import Split


class Clock:
    """Adds up the seconds of named parts; parts that were done before it was made are given to it."""

    def __init__(self, **earlier: float) -> None:
        self._start = time.perf_counter() - sum(earlier.values())
        self._parts: dict[str, float] = dict(earlier)

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Count the seconds of the block as `part`."""
        start = time.perf_counter()
        yield
        self._parts[part] = time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        """Seconds of each part, and of everything: what was given, and all since the clock was made."""
        total = time.perf_counter() - self._start
        return {name: round(value, 3) for name, value in {**self._parts, "total": total}.items()}


def processor_seconds() -> float:
    """What this process has taken of all processors so far, with the processes that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def keep_results(
    recording: Recording,
    coordinates: Coordinates,
    split: Split,
    scores: pd.DataFrame,
    *,
    started: str,
    device: str,
    threads: int | None = None,
    sampling_noise: float | None = None,
    knows_truth: bool = False,
    controls: Mapping[str, int],
    clock: Clock,
    processor_seconds: float | None = None,
    fallbacks: Mapping[str, str] | None = None,
    archive: Path | None = None,
    digest: str = "",
    reading: Mapping[str, Any] | None = None,
    tuning: Tuning | None = None,
) -> Record:
    """Make the record of a run from its scores, and finish the run with it and its files.

    Parameters
    ----------
    recording
        The open run.
    coordinates
        What was run.
    split
        Whose test perturbations were scored.
    scores
        As `benchmark.evaluation.metrics.evaluate.evaluate` returns them.
    started
        When the work began, ISO 8601, UTC.
    device
        What it ran on.
    threads
        Processor threads of its libraries; None where they have no say.
    sampling_noise
        What drawing cells adds to the squared error of a mean; None where nothing was drawn, or not here.
    knows_truth
        Whether the method was told the truth, see `benchmark.method.Method.knows_truth`.
    controls
        As `benchmark.evaluation.controls.count_controls` gives them.
    clock
        How long it took.
    processor_seconds
        Of the training; None where there was none here.
    fallbacks
        RefusedDataError perturbations with the reason, if any.
    archive
        The file with the predictions; None where nothing was predicted.
    digest
        SHA-256 of that file.
    reading
        How it is read, where it is no archive of ours.
    tuning
        Where the configuration comes from, where it is a tuned one.
    """
    refused = dict(fallbacks or {})
    record = Record(
        coordinates=coordinates,
        status="finished",
        run_id=recording.run_id,
        started=started,
        device=device,
        threads=threads,
        sampling_noise=sampling_noise,
        knows_truth=knows_truth,
        controls=dict(controls),
        versions=software_versions(),
        seconds=clock.seconds(),
        processor_seconds=processor_seconds,
        peak_memory_mb=_peak_memory_mb(),
        coverage=1 - len(refused) / len(scores),
        fallbacks=refused,
        **score_fields(scores, split),
        archive=archive.name if archive else "",
        archive_sha256=digest,
        archive_mb=archive.stat().st_size / 2**20 if archive else 0.0,
        reading=dict(reading or {}),
        tuning=tuning,
    )
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        table = write_table(scores, split, Path(folder))
        recording.finish(record, [archive, table] if archive else [table])
    return record


def score_fields(scores: pd.DataFrame, split: Split) -> dict[str, Any]:
    """Return the part of a record that follows from its scores alone."""
    return {
        "metrics": {name: Summary.of(scores[name]) for name in scores},
        "metric_versions": {name: METRICS[name].spec.version for name in scores},
        "perturbations": list(scores.index),
        "groups": [split.groups[name] for name in scores.index],
        "scores": {name: _plain(scores[name]) for name in scores},
    }


def write_table(scores: pd.DataFrame, split: Split, folder: Path) -> Path:
    """Write scores and the group of each perturbation to ``per_perturbation.csv``."""
    path = folder / "per_perturbation.csv"
    scores.assign(group=[split.groups[name] for name in scores.index]).to_csv(path)
    return path


def _peak_memory_mb() -> float:
    """Most memory that this process, or one that it started and has seen end, has held."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in who) / 1024


def _plain(values: pd.Series) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
