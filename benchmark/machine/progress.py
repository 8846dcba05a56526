"""How long work reports where it is: methods say it, whoever runs them decides what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

POINTS = 200
"""Values that are kept of a curve, about."""


class Stage(Protocol):
    """One piece of work that is under way."""

    def advance(self, steps: int = 1, **values: float) -> None:
        """Say that steps are done, with named values of this moment such as a loss."""


class Reporter(Protocol):
    """Receives every stage; the command line draws bars, a run keeps the values."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """Open one stage of `total` steps."""


class Silent:
    """The reporter where nobody listens, and the stage that it opens."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """Open a stage that keeps nothing."""
        yield self

    def advance(self, steps: int = 1, **values: float) -> None:
        """Do nothing."""


_SILENT = Silent()
_reporter: ContextVar[Reporter] = ContextVar("reporter", default=_SILENT)


@contextmanager
def stage(name: str, total: int) -> Iterator[Stage]:
    """Open a stage with whichever reporter is in force.

    Parameters
    ----------
    name
        What is being done, in two or three words: "train flow".
    total
        How many steps it takes.
    """
    with _reporter.get().stage(name, total) as opened:
        yield opened


@contextmanager
def report_to(reporter: Reporter) -> Iterator[None]:
    """Send every stage opened inside to `reporter`."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


class CurveKeeper:
    """Keeps the values that stages report, thinned, and passes everything on to the reporter in force."""

    def __init__(self) -> None:
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self._outer = _reporter.get()

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """Open a stage whose values are kept at about `POINTS` of its steps."""
        with self._outer.stage(name, total) as outer:
            yield _KeptStage(self.curves, name, max(1, total // POINTS), outer)


class _KeptStage:
    def __init__(
        self, curves: dict[str, list[tuple[int, float]]], name: str, every: int, outer: Stage
    ) -> None:
        self._curves, self._name, self._every, self._outer = curves, name, every, outer
        self._done = 0

    def advance(self, steps: int = 1, **values: float) -> None:
        """Keep the values of every so many steps."""
        self._outer.advance(steps, **values)
        kept_before, self._done = self._done // self._every, self._done + steps
        if self._done // self._every > kept_before or self._done == steps:
            for key, value in values.items():
                self._curves.setdefault(f"{self._name}/{key}", []).append((self._done, float(value)))
