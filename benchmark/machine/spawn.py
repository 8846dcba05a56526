"""Starting the processes of one run on several devices, and ending all of them when one ends badly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.machine.processes import INTERRUPTED, become_worker, end_all, join_all, threads_for_each

LOST = 3
"""Exit code of a process that ended because another one had; it says nothing."""
SAID = (1, 2)
"""Exit codes of a first process that has said what is wrong; with code 1 every process does."""
PATIENCE = 10
"""Seconds that processes have to notice that another one has ended, and then once more to record it."""


def launch(work: Callable[..., object], arguments: Sequence[Any], count: int) -> int:
    """Do the same work in several processes that can find each other, and wait for all of them.

    Parameters
    ----------
    work
        A function of a module. A process fails where it raises, or exits with another code than 0.
    arguments
        What it is given.
    count
        How many processes.

    Returns
    -------
    int
        0 where all have done their work, or else the code of one that failed and has said why.

    Raises
    ------
    BenchmarkError
        When a process ended and nobody has said why; it names the process and the signal.
    KeyboardInterrupt
        When interrupted; then all have ended.
    """
    context = multiprocessing.get_context("spawn")
    port = _free_port()
    processes = [
        context.Process(target=_work, args=(work, tuple(arguments), rank, count, port))
        for rank in range(count)
    ]
    try:
        for process in processes:
            process.start()
        first = _first_failure(processes)
    except BaseException:
        end_all(processes, PATIENCE)
        raise
    if first is None:
        return 0
    join_all(processes, PATIENCE)
    end_all(processes, PATIENCE)
    codes = [process.exitcode or 0 for process in processes]
    if codes[0] in SAID or 1 in codes:
        return codes[0] if codes[0] in SAID else 1
    raise BenchmarkError(
        f"Process {first} of {count} (counted from 0) {_how(codes[first])} in the middle of the run, which "
        "ended with it; the same command goes on from the last checkpoint, if one had been written."
    )


def _work(work: Callable[..., object], arguments: tuple[Any, ...], rank: int, count: int, port: int) -> None:
    """Be one of the processes: what Accelerate, like torchrun, reads from the environment is there."""
    become_worker(threads_for_each(count))
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(count),
        LOCAL_WORLD_SIZE=str(count),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    try:
        work(*arguments)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _first_failure(processes: list[SpawnProcess]) -> int | None:
    """Wait until all have ended well, or one has not: which."""
    running = dict(enumerate(processes))
    while running:
        wait([process.sentinel for process in running.values()])
        for rank, process in list(running.items()):
            if process.exitcode is None:
                continue
            if process.exitcode:
                return rank
            del running[rank]
    return None


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
