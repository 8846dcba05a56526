"""What every board shows, whoever was asked for: three trivial methods and two bounds."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmark.board import ANCHORS, BOUNDS
from benchmark.data import Dataset, load_dataset
from benchmark.errors import BenchmarkError
from benchmark.records.record import Coordinates, Record, configuration_label
from benchmark.records.tracking import Tracker
from benchmark.registry import load_method, source_digest
from benchmark.runs.claims import claimed
from benchmark.runs.request import Request
from benchmark.runs.run import COMPARES, run
from benchmark.splits import frozen_split

_log = logging.getLogger("benchmark")


def ensure_anchors(request: Request, done: Coordinates) -> list[Record]:
    """Record the anchors that have no finished run yet beside a run that is done; the log names each.

    They are ordinary runs on the same data set, split, seed and number of cells, with one sample. An anchor
    that cannot be recorded is warned of, and the others are tried.

    Parameters
    ----------
    request
        What was asked for: it says how to load the data set.
    done
        Coordinates of the run that came of it.

    Returns
    -------
    list of Record
        What was recorded now.
    """
    tracker = Tracker()
    wanted = [*(method_at(name, done) for name in ANCHORS), *(bound_at(name, done) for name in BOUNDS)]
    missing = [at for at in wanted if tracker.finished(at.key) is None]
    if not missing:
        return []
    dataset = load_dataset(request.dataset, **request.columns)
    records = []
    for at in missing:
        _log.info("Recording %s, which is on every board (--no-anchors leaves it out).", at.method)
        try:
            is_bound = at.method in BOUNDS
            record, _ = record_bound(at, dataset) if is_bound else _run(at, request, dataset)
            records.append(record)
        except BenchmarkError as error:
            _log.warning("%s could not be recorded: %s", at.method, error)
    return records


def method_at(name: str, done: Coordinates) -> Coordinates:
    """Coordinates of a method's default configuration beside a run that is done."""
    method = load_method(name)
    config = method.Config()
    return done.model_copy(
        update={
            "method": method.name,
            "method_version": method.version,
            "configuration": configuration_label(config),
            "config": config.model_dump(mode="json"),
            "source_digest": source_digest(method),
            "samples": 1,
            "devices": 1,
        }
    )


def bound_at(name: str, done: Coordinates) -> Coordinates:
    """Coordinates of a bound beside a run that is done; it is the same for any number of cells."""
    from benchmark.evaluation import limit, scoring

    code = b"".join(Path(str(module.__file__)).read_bytes() for module in (scoring, limit))
    return done.model_copy(
        update={
            "method": name,
            "method_version": "1",
            "configuration": "default",
            "config": {},
            "source_digest": hashlib.sha256(code).hexdigest(),
            "cells": 0,
            "samples": 1,
            "devices": 1,
        }
    )


def record_bound(at: Coordinates, dataset: Dataset, wait: bool = True) -> tuple[Record, bool]:
    """Compute a bound and keep that as a run, which has no archive; one that is finished is shown.

    Parameters
    ----------
    at
        As `bound_at` gives them.
    dataset
        The data set that they name.
    wait
        As for `benchmark.runs.run.perform`.

    Returns
    -------
    tuple
        The record, and whether it was done now.
    """
    from benchmark.evaluation import scoring
    from benchmark.evaluation.controls import count_controls
    from benchmark.runs.keep import Clock, keep_results

    import_module(COMPARES)
    split = frozen_split(dataset, at.split, at.seed, at.split_digest)
    tracker = Tracker()
    if (earlier := tracker.finished(at.key)) is not None:
        return earlier, False
    with claimed(at.key, wait):
        if (earlier := tracker.finished(at.key)) is not None:
            return earlier, False
        started, clock = datetime.now(UTC).isoformat(timespec="seconds"), Clock()
        with tracker.recording(at, is_anchor=True) as recording:
            with clock.time("metrics"):
                scores = scoring.BOUNDS[at.method](dataset, split)
            record = keep_results(
                recording,
                at,
                split,
                scores,
                started=started,
                device="cpu",
                controls=count_controls(dataset, split),
                clock=clock,
            )
            return record, True


def _run(at: Coordinates, request: Request, dataset: Dataset) -> tuple[Record, bool]:
    asked = Request(
        method=at.method,
        dataset=request.dataset,
        split=at.split,
        seed=at.seed,
        cells=at.cells,
        columns=request.columns,
        shared_controls=request.shared_controls,
        is_anchor=True,
    )
    return run(asked, dataset)
