"""The claim on a run, so that nobody else does the same run meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from benchmark.machine.paths import cache_folder, unwritable

_log = logging.getLogger("benchmark")


@contextmanager
def claimed(key: str, wait: bool = True) -> Iterator[None]:
    """Hold the claim on a run; it ends with the process, however that ends.

    Parameters
    ----------
    key
        Of the run's coordinates.
    wait
        Whether one that another process holds is waited for, and that is said.

    Raises
    ------
    Timeout
        When another process holds it, and it is not waited for.
    BenchmarkError
        When the project home cannot be written.
    """
    folder = cache_folder("claims")
    lock = FileLock(folder / f"{key[:32]}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        _log.info("Another process does the same run; this one waits, and shows what comes of it.")
        lock.acquire()
    except OSError as error:
        raise unwritable(error) from error
    try:
        yield
    finally:
        lock.release()
