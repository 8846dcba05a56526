"""The harness's side of a worker: starts it, passes on what it says, makes sentences of its failures."""

from __future__ import annotations

import errno
import json
import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.hosting.child import Child, TimeUpError, started
from benchmark.machine.processes import threads
from benchmark.machine.progress import Stage, stage

LAUNCH = Path(__file__).with_name("launch.py")

_log = logging.getLogger("benchmark")


class Worker:
    """One step of a hosted method, while it runs."""

    def __init__(self, name: str, step: str, folder: Path, child: Child, seconds: float) -> None:
        self.name, self.step, self.folder = name, step, folder
        self._child, self._seconds = child, seconds
        self._trouble: dict[str, Any] = {}

    @classmethod
    @contextmanager
    def run(
        cls, name: str, python: Path, script: Path, step: str, folder: Path, seconds: float
    ) -> Iterator[Self]:
        """Start a step; the worker and its children are ended when the block is left.

        Parameters
        ----------
        name
            The method's.
        python
            The interpreter of its environment.
        script
            The worker's file.
        step
            The function in it that is called.
        folder
            The job's files.
        seconds
            The time limit.
        """
        count = str(threads())
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count)
        command: list[str | Path] = [python, "-I", "-u", LAUNCH, script, step, folder]
        with started(command, environment=limits, second_channel=True) as child:
            yield cls(name, step, folder, child, seconds)

    def answers(self) -> Iterator[int]:
        """Pass on progress and lines until the worker ends; yield the number of each answer as it comes.

        Raises
        ------
        BenchmarkError
            When the worker declines, fails, dies or takes too long.
        """
        with _Bars() as bars:
            try:
                for line, is_message in self._child.lines(self._seconds):
                    if is_message:
                        yield from self._follow(json.loads(line), bars)
                    else:
                        _log.info("%s: %s", self.name, line)
            except TimeUpError as error:
                limit = f"was not done after its time limit of {self._seconds:g} s"
                raise self._failure(limit, "set time_limit higher") from error
        self._raise_trouble()

    def answer(self, index: int, shape: tuple[int, ...], label: str) -> np.ndarray:
        """Read one answer, and refuse it when it is not what was due."""
        try:
            path = self.folder / f"answer-{index}.npy"
            values = np.load(path, allow_pickle=False)
            path.unlink()
        except (OSError, ValueError) as error:
            raise self._failure(f"left no readable answer for {label} ({_reason(error)})") from error
        if values.shape != shape:
            raise self._failure(f"answered an array of shape {values.shape} for {label}, but {shape} is due")
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise self._failure(f"answered {bad} values for {label} that are not finite")
        return values

    def read(self, name: str) -> bytes:
        """Read a file that the worker has left."""
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise self._failure(f"left no {name} ({_reason(error)})") from error

    def _follow(self, message: dict[str, Any], bars: _Bars) -> Iterator[int]:
        """Show progress, pass an answer on, or keep what the worker says of its end."""
        match message:
            case {"stage": name, "total": total}:
                bars.open(name, total)
            case {"advance": steps, "values": values}:
                bars.advance(steps, values)
            case {"end": _}:
                bars.close()
            case {"answer": index}:
                yield index
            case _:
                self._trouble = message  # raised when its last lines have been read, too

    def _raise_trouble(self) -> None:
        """Raise what the worker itself said of its end, or else what its exit says."""
        match self._trouble:
            case {"refused": sentence}:
                raise BenchmarkError(sentence)
            case {"errno": errno.ENOSPC}:
                raise self._failure("found the disk full", "make room, or set TMPDIR to another folder")
            case {"failed": text}:
                raise self._failure(f"failed ({text})")
        code = self._child.ended()
        if code < 0:
            raise self._failure(f"was ended by {signal.Signals(-code).name}", "perhaps memory ran out")
        if code > 0:
            raise self._failure(f"ended with {code}")

    def _failure(self, what: str, advice: str = "see its last lines") -> BenchmarkError:
        """One line, and below it the last that the worker wrote."""
        lines = "".join(f"\n  {line}" for line in self._child.last) or "\n  (it wrote nothing)"
        step = {"fit": "fitting", "predict": "predicting"}.get(self.step, self.step)
        return BenchmarkError(f"The worker of '{self.name}', {step}, {what}; {advice}:{lines}")


class _Bars:
    """The stages that a worker has open, one within the other; all are closed with the block."""

    def __init__(self) -> None:
        self._open: list[tuple[ExitStack, Stage]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        while self._open:
            self.close()

    def open(self, name: str, total: int) -> None:
        """Open a stage."""
        closing = ExitStack()
        self._open.append((closing, closing.enter_context(stage(name, total))))

    def advance(self, steps: int, values: dict[str, float]) -> None:
        """Advance the innermost stage."""
        self._open[-1][1].advance(steps, **values)

    def close(self) -> None:
        """Close the innermost stage."""
        self._open.pop()[0].close()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
