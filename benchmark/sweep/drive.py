"""From jobs to outcomes, whatever does them: nothing is lost with a worker, and one failure stops nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from benchmark.sweep.job import Job, Outcome

RETRIES = 2
"""How often a job is given to another worker after its own was lost."""
LOOK = 0.5
"""Seconds between two looks at what is under way."""
ELSEWHERE = 5.0
"""Seconds before a job that another process is doing is asked for again."""


class Executor(Protocol):
    """Does jobs, several at once; each is called by its number."""

    def has_room(self) -> bool:
        """Whether another job may be handed in."""

    def submit(self, number: int, job: Job) -> None:
        """Take a job."""

    def wait(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Return what has come of jobs, as soon as there is anything, or nothing after so many seconds.

        Called only while a job is under way.
        """

    def close(self) -> None:
        """End everything that is under way."""


def drive(jobs: Sequence[Job], executor: Executor, watch: Callable[[int, Outcome], None]) -> list[Outcome]:
    """Have all jobs done.

    Parameters
    ----------
    jobs
        Which ones; those that are handed in first begin first.
    executor
        Who does them.
    watch
        Told the number of a job, and what came of it, once it is final.

    Returns
    -------
    list
        What came of each job. One whose worker was lost again and again has failed.
    """
    waiting, later = deque(range(len(jobs))), deque[tuple[float, int]]()
    under_way: set[int] = set()
    losses = [0] * len(jobs)
    outcomes: dict[int, Outcome] = {}
    while waiting or later or under_way:
        while later and later[0][0] <= time.monotonic():
            waiting.append(later.popleft()[1])
        while waiting and executor.has_room():
            number = waiting.popleft()
            executor.submit(number, jobs[number])
            under_way.add(number)
        if not under_way:
            time.sleep(max(0.0, later[0][0] - time.monotonic()))
            continue
        for number, outcome in executor.wait(LOOK):
            under_way.remove(number)
            if outcome.state == "lost" and losses[number] < RETRIES:
                losses[number] += 1
                waiting.append(number)
            elif outcome.state == "elsewhere":
                later.append((time.monotonic() + ELSEWHERE, number))
            else:
                outcomes[number] = _final(outcome)
                watch(number, _final(outcome))
    return [outcomes[number] for number in range(len(jobs))]


def _final(outcome: Outcome) -> Outcome:
    """Call a job that was lost too often a failed one."""
    if outcome.state != "lost":
        return outcome
    return Outcome("failed", reason=f"its worker ended {RETRIES + 1} times ({outcome.reason})")
