"""Processes that work on one study; nothing heavy is imported here, so that they start with few threads."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import SimpleQueue

from benchmark.errors import BenchmarkError
from benchmark.machine.processes import INTERRUPTED, become_worker, end_all, threads_for_each
from benchmark.tuning.plan import Plan

LOOK = 0.5
"""Seconds between two looks at the study."""
PATIENCE = 30
"""Seconds that a process has to put its trial back when it is told to end."""


def work_together(
    plan: Plan, deadline: float, look: Callable[[], None], close_lost: Callable[[], int]
) -> None:
    """Have ``plan.jobs`` processes work on a study until they end.

    A process that is killed in the middle of a trial is replaced; what it tried is left to the others.

    Parameters
    ----------
    plan
        What is tuned.
    deadline
        Moment (`time.time`) from which no trial is begun.
    look
        Called now and then, to show what there is.
    close_lost
        Marks trials of processes that have ended as lost, and returns how many.

    Raises
    ------
    BenchmarkError
        When a process cannot work.
    """
    context = multiprocessing.get_context("spawn")
    reasons: SimpleQueue[str] = context.SimpleQueue()
    threads = threads_for_each(plan.jobs)

    def start() -> SpawnProcess:
        process = context.Process(target=_work, args=(plan, deadline, threads, reasons))
        process.start()
        return process

    crew = [start() for _ in range(plan.jobs)]
    try:
        while crew:
            crew[0].join(LOOK)
            for process in [each for each in crew if not each.is_alive()]:
                crew.remove(process)
                if process.exitcode and not reasons.empty():
                    raise BenchmarkError(reasons.get())
                if process.exitcode and close_lost():
                    crew.append(start())
            look()
    finally:
        end_all(crew, PATIENCE)
        close_lost()


def _work(plan: Plan, deadline: float, threads: int, reasons: SimpleQueue[str]) -> None:
    """What a process does; it ends when the one that started it does."""
    become_worker(threads)
    from benchmark.machine.progress import Silent, report_to
    from benchmark.tuning.work import Bench, work

    try:
        with report_to(Silent()), redirect_stdout(sys.stderr):
            work(Bench.of(plan), deadline, done=lambda: None)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        name = "" if isinstance(error, BenchmarkError) else f"{type(error).__name__}: "
        reasons.put(f"{name}{error}")
        sys.exit(1)
