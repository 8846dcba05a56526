"""The claim on a run, so that nobody else does the same run meanwhile."""

from __future__ import annotations

from contextlib import AbstractContextManager

from benchmark.machine.paths import cache_folder, locked


def claimed(key: str, wait: bool = True) -> AbstractContextManager[None]:
    """Hold the claim on a run of this key; another process that holds it is waited for, unless said.

    Raises
    ------
    Timeout
        When another process holds it, and it is not waited for.
    BenchmarkError
        When the project home cannot be written.
    """
    waiting = "Another process does the same run; this one waits, and shows what comes of it."
    return locked(cache_folder("claims") / f"{key[:32]}.lock", waiting, wait)
