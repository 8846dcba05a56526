"""A command that several processes run together: the first one speaks, the others do their share."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmark.errors import BenchmarkError
from benchmark.machine.processes import INTERRUPTED


def in_processes(again: Callable[[], object], count: int, device: str) -> int:
    """Do what was typed, again, in several processes, and return its exit code."""
    from benchmark.machine.device import require_devices
    from benchmark.machine.spawn import launch

    require_devices(count, device)
    return launch(again, [], count)


def processes(asked: int) -> int:
    """Count the processes that a launcher has started for this command; 1 where there was none.

    Raises
    ------
    BenchmarkError
        When another number of them was asked for.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started > 1 and asked not in (1, started):
        raise BenchmarkError(
            f"The launcher has started {started} processes, but --devices {asked} was given; leave it out."
        )
    return started


@contextmanager
def taking_part(count: int, device: str) -> Iterator[bool]:
    """Work inside with the other processes, if there are any; gives whether this is the first, which speaks.

    The others end with an exit code and in silence where the first one says the same, or where the process
    that started them does.
    """
    if count == 1:
        yield True
        return
    from benchmark.machine.device import choose_device
    from benchmark.machine.peers import LostProcessError, joined
    from benchmark.machine.spawn import LOST

    first, launched = os.environ["RANK"] == "0", multiprocessing.parent_process() is not None
    if not first:
        logging.getLogger("benchmark").setLevel(logging.ERROR)
    try:
        with joined(cpu=choose_device(device).type == "cpu"):
            yield first
    except LostProcessError:
        if first and not launched:
            raise
        sys.exit(LOST)
    except BenchmarkError:
        if first:
            raise
        sys.exit(2)
    except KeyboardInterrupt:
        if first and not launched:
            raise
        sys.exit(INTERRUPTED)
