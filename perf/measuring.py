"""What the scripts here measure with: a process for each measurement, limits on its memory, and its peak."""

from __future__ import annotations

import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any


def in_new_process(work: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call `work` in a fresh process, so that its threads, compiled code and memory are its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **options).result()


def limit_data(room: float) -> None:
    """Let this process get so many MB of data (RLIMIT_DATA) beside what it has already."""
    data = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line)
    limit = int(data.split()[1]) * 1024 + int(room * 2**20)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def peak_mb() -> float:
    """Peak resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
