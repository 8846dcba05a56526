"""A sweep from its plan to what came of every run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from benchmark.errors import BenchmarkError, unknown
from benchmark.records.tracking import Tracker
from benchmark.sweep.cluster import RayExecutor
from benchmark.sweep.drive import Executor, drive
from benchmark.sweep.job import Job, Outcome
from benchmark.sweep.local import LocalExecutor
from benchmark.sweep.plan import Plan
from benchmark.sweep.table import ProgressTable


@dataclass(frozen=True)
class Where:
    """Where runs are done: by `jobs` processes of this machine, or on the Ray cluster at `address`."""

    executor: str = "local"
    jobs: int | None = None
    address: str | None = None

    def open(self, most: int) -> Executor:
        """Start the executor for so many runs at most.

        Raises
        ------
        BenchmarkError
            When there is no such executor, or it cannot be used as asked.
        """
        makers: dict[str, Callable[[], Executor]] = {
            "local": lambda: LocalExecutor(min(self.jobs or 1, max(1, most))),
            "ray": lambda: RayExecutor(self.address, self.jobs),
        }
        if self.executor not in makers:
            raise unknown("executor", self.executor, makers)
        if self.address is not None and self.executor != "ray":
            raise BenchmarkError("--address names a Ray cluster; add --executor ray, or leave it out.")
        if self.jobs is not None and self.jobs < 1:
            raise BenchmarkError(f"At least 1 job must be done at once, not {self.jobs}.")
        return makers[self.executor]()


def sweep(plan: Plan, where: Where) -> list[tuple[Job, Outcome]]:
    """Do every run of a plan that is not done; the same plan again goes on where this one ended.

    Returns
    -------
    list
        Each run with what came of it.
    """
    jobs = plan.jobs()
    Tracker()  # a store that cannot be used is said once, before anything starts
    with closing(where.open(len(jobs))) as executor, ProgressTable(jobs) as table:
        outcomes = drive(jobs, executor, table.final)
    return list(zip(jobs, outcomes, strict=True))
