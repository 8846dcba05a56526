"""Ends a training whose validation loss says that the configuration is not worth its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmark.machine.progress import Silent, Stage

VALIDATION = "validation"
"""Under this name a method reports a loss on validation perturbations while it trains; less is better."""


class NotWorthItError(Exception):
    """Raised out of a training that is ended early; it is no fault of the method."""


class ValidationWatch:
    """A reporter that passes on validation losses, with how much of the training is done.

    Configurations may train for different numbers of steps, and are compared at the same share of them. The
    loss after the last step is not passed on: the training is paid for then. Only the first stage that
    reports such a loss is listened to.

    Parameters
    ----------
    hopeless
        Told a loss and the per cent of the training that is done, says whether to end it.
    """

    def __init__(self, hopeless: Callable[[float, int], bool]) -> None:
        self._hopeless = hopeless
        self._stage: str | None = None
        self._percent = 0

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """Open a stage that is listened to."""
        yield _Watched(self, name, total)

    def take(self, name: str, share: float, loss: float) -> None:
        """Take a validation loss after a share, in (0, 1], of the stage `name`.

        Raises
        ------
        NotWorthItError
            Where the training is to end.
        """
        self._stage = self._stage or name
        percent = int(100 * share)
        if name != self._stage or share >= 1 or percent <= self._percent:
            return
        self._percent = percent
        if self._hopeless(loss, percent):
            raise NotWorthItError


class _Watched(Silent):
    def __init__(self, watch: ValidationWatch, name: str, total: int) -> None:
        self._watch, self._name, self._total = watch, name, total
        self._done = 0

    def advance(self, steps: int = 1, **values: float) -> None:
        """Pass on the validation loss among the values, if there is one."""
        self._done += steps
        if VALIDATION in values:
            self._watch.take(self._name, self._done / self._total, values[VALIDATION])
