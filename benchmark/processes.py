"""What a process does that works for another one; nothing heavy is imported, so that it starts quickly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""Exit code of a process that was stopped from the keyboard, or told to end."""


def threads_for_each(processes: int) -> int:
    """Count the threads that each of so many processes may use, so that together they fill the machine."""
    return max(1, len(os.sched_getaffinity(0)) // processes)


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


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
