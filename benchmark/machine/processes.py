"""Processes that work for another one; nothing heavy is imported here, so that they start quickly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from functools import cache
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""Exit code of a process that was stopped from the keyboard, or told to end."""


@cache
def cores() -> int:
    """Count the cores that this process may use.

    It is asked once: sums over threads come in another order with another number of them, so that a process
    whose cores change would train to other numbers in the middle.
    """
    return len(os.sched_getaffinity(0))


def threads() -> int:
    """Count the threads that libraries of this process use: what OMP_NUM_THREADS says, else its cores."""
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    return int(chosen) if chosen.isdecimal() and int(chosen) > 0 else cores()


def threads_for_each(processes: int) -> int:
    """Count the threads that each of so many processes may use, so that together they fill the machine."""
    return max(1, cores() // processes)


def become_worker(threads: int) -> None:
    """Use so many threads, end when the process that started this one ends, and take SIGTERM as Ctrl-C.

    It must be called before a library that computes is imported: they look once.
    """
    for library in ("OMP", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", str(threads))
    # Ctrl-C reaches every process of a terminal; the one that started this one then tells it to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def join_all(processes: Sequence[BaseProcess], seconds: float) -> None:
    """Wait until all that were started have ended, or until so many seconds are over."""
    patience = time.monotonic() + seconds
    for process in processes:
        if process.pid is not None:
            process.join(max(0.0, patience - time.monotonic()))


def end_all(processes: Sequence[BaseProcess], seconds: float) -> None:
    """Interrupt all that still run, so that they can record it, and kill those that do not heed in time."""
    for process in processes:
        if process.is_alive():
            process.terminate()
    join_all(processes, seconds)
    for process in processes:
        if process.is_alive():
            process.kill()
            process.join()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
