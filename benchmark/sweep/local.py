"""Several processes of this machine, each of which does one job after the other."""

from __future__ import annotations

import multiprocessing
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from benchmark.machine.processes import INTERRUPTED, become_worker, end_all, threads_for_each
from benchmark.sweep.job import Job, Outcome

PATIENCE = 30
"""Seconds that a process has to record its run as interrupted when it is told to end."""


class LocalExecutor:
    """So many processes, which are replaced where they end in the middle of a job.

    Parameters
    ----------
    processes
        How many; each may use its share of the machine's cores.
    """

    def __init__(self, processes: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._threads = threads_for_each(processes)
        self._workers = [self._start() for _ in range(processes)]

    def has_room(self) -> bool:
        """Whether a process is idle."""
        return any(worker.job is None for worker in self._workers)

    def submit(self, number: int, job: Job) -> None:
        """Give a job to an idle process."""
        worker = next(worker for worker in self._workers if worker.job is None)
        worker.job = number
        try:
            worker.connection.send(job)
        except BrokenPipeError:  # it has ended, which the next look at it shows
            return

    def wait(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Return what has come of jobs; that of a process which has ended is lost."""
        busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
        found = []
        for connection in wait(list(busy), seconds):
            worker = busy[connection]  # type: ignore[index]
            found.append((worker.job, self._outcome(worker)))
            worker.job = None
        return [(number, outcome) for number, outcome in found if number is not None]

    def close(self) -> None:
        """Tell all processes to end, and end those that do not."""
        end_all([worker.process for worker in self._workers], PATIENCE)

    def _outcome(self, worker: _Worker) -> Outcome:
        """Read what a process answers; one that has ended is replaced."""
        try:
            answer: Outcome = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            code = worker.process.exitcode
            fresh = self._start()
            worker.process, worker.connection = fresh.process, fresh.connection
            return Outcome("lost", reason=f"exit code {code}")
        return answer

    def _start(self) -> _Worker:
        ours, its = self._context.Pipe()
        process = self._context.Process(target=_work, args=(its, self._threads))
        process.start()
        its.close()
        return _Worker(process, ours)


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    job: int | None = None


def _work(connection: Connection, threads: int) -> None:
    """Do jobs until the one who sends them ends."""
    become_worker(threads)
    from benchmark.machine.progress import Silent, report_to
    from benchmark.sweep.work import do

    with report_to(Silent()), redirect_stdout(sys.stderr):
        try:
            while True:
                connection.send(do(connection.recv()))
        except (KeyboardInterrupt, EOFError):
            sys.exit(INTERRUPTED)
