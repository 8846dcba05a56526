"""How far a sweep is: one table of methods and data sets, or a line per run where stderr is a file."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from benchmark.sweep.job import Job, Outcome

WORDS = {"done": "done", "before": "was done before", "failed": "failed"}


class ProgressTable:
    """Shows what is final of each method on each data set and split.

    Parameters
    ----------
    jobs
        All runs of the sweep.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._states: dict[int, str] = {}
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
            self._live.update(self.table(), refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def final(self, number: int, outcome: Outcome) -> None:
        """Take in what came of a run."""
        self._states[number] = outcome.state
        if self._console.is_terminal:
            self._live.update(self.table(), refresh=True)
            return
        reason = f": {outcome.reason}" if outcome.reason else f", {outcome.seconds:.1f} s"
        count = f"[{len(self._states)}/{len(self._jobs)}]"
        print(f"{count} {self._jobs[number]} {WORDS[outcome.state]}{reason}", file=sys.stderr, flush=True)

    def table(self) -> Table:
        """One row per method, one column per data set and split: final runs of all, and failures."""
        places = list(dict.fromkeys((job.dataset, job.split) for job in self._jobs))
        total = Counter((job.method, job.dataset, job.split) for job in self._jobs)
        final: Counter[tuple[str, str, str]] = Counter()
        failed: Counter[tuple[str, str, str]] = Counter()
        for number, state in self._states.items():
            job = self._jobs[number]
            final[job.method, job.dataset, job.split] += 1
            failed[job.method, job.dataset, job.split] += state == "failed"
        table = Table(title=f"{len(self._states)} of {len(self._jobs)} runs", title_justify="left")
        table.add_column("method", overflow="fold")
        for dataset, split in places:
            table.add_column(f"{dataset}, {split}", justify="right")
        for method in dict.fromkeys(job.method for job in self._jobs):
            cells = [(method, *place) for place in places]
            table.add_row(
                method,
                *(
                    f"{final[cell]}/{total[cell]}" + (f", {failed[cell]} failed" if failed[cell] else "")
                    for cell in cells
                ),
            )
        return table
