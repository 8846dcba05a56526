"""Doing one run of a sweep, so that nobody else does the same run meanwhile."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from filelock import Timeout

from benchmark.board import ANCHORS, BOUNDS
from benchmark.data import Dataset, load_dataset
from benchmark.errors import BenchmarkError
from benchmark.records.record import Record
from benchmark.runs.anchors import bound_at, record_bound
from benchmark.runs.request import Request, prepare
from benchmark.runs.run import perform
from benchmark.sweep.job import Job, Outcome


def do(job: Job) -> Outcome:
    """Do a run, unless it is done or under way; a failure is an outcome, only an interrupt is raised."""
    start = time.perf_counter()
    try:
        record, now = _do(job)
    except Timeout:
        return Outcome("elsewhere")
    except Exception as error:
        first = str(error).partition("\n")[0]
        reason = first if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {first}"
        return Outcome("failed", seconds=time.perf_counter() - start, reason=reason)
    return Outcome("done" if now else "before", record.run_id, time.perf_counter() - start)


def _do(job: Job) -> tuple[Record, bool]:
    """The record of a job, and whether it was made now."""
    is_bound = job.method in BOUNDS
    task = prepare(_request(job, ANCHORS[0] if is_bound else job.method), _dataset(job.dataset, job.columns))
    at = bound_at(job.method, task.coordinates) if is_bound else task.coordinates
    return record_bound(at, task.dataset, wait=False) if is_bound else perform(task, wait=False)


def _request(job: Job, method: str) -> Request:
    return Request(
        method=method,
        dataset=job.dataset,
        split=job.split,
        seed=job.seed,
        preset=job.preset,
        settings=dict(job.settings),
        device=job.device,
        cells=job.cells,
        samples=job.samples,
        columns=dict(job.columns),
    )


@lru_cache(maxsize=2)
def _dataset(name: str, columns: tuple[tuple[str, Any], ...]) -> Dataset:
    """A data set, kept: runs on the same one follow each other."""
    return load_dataset(name, **dict(columns))
