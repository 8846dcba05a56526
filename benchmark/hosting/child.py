"""A child process whose output is read as it comes, and which never outlives whoever started it."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

LINE_ENDS = re.compile(rb"[\r\n]+")
GLANCE = 0.5
"""Seconds between two looks at whether the child still lives."""
SHOWN = 12
"""Last lines of a child that are shown when it fails."""


class TimeUpError(Exception):
    """The child was still running when its time was up."""


class Child:
    """A started process; `lines` gives what it writes, `ended` how it came out.

    Attributes
    ----------
    process
        The process, leader of a session of its own.
    messages
        The reading end of the second channel, or None where there is none.
    last
        The last lines that `lines` has given, without those of the second channel.
    """

    def __init__(self, process: subprocess.Popen[bytes], messages: int | None) -> None:
        self.process = process
        self.messages = messages
        self.last: deque[str] = deque(maxlen=SHOWN)

    def lines(self, seconds: float | None = None) -> Iterator[tuple[str, bool]]:
        """Yield each line that is not empty, and whether it came through the second channel.

        Raises
        ------
        TimeUpError
            When the child is not done after so many seconds.
        """
        assert self.process.stdout is not None
        deadline = None if seconds is None else time.monotonic() + seconds
        rest: dict[int, bytes] = {self.process.stdout.fileno(): b""}
        if self.messages is not None:
            rest[self.messages] = b""
        with selectors.DefaultSelector() as selector:
            for source in rest:
                selector.register(source, selectors.EVENT_READ)
            while selector.get_map():
                if deadline is not None and time.monotonic() > deadline:
                    raise TimeUpError
                dead = self.process.poll() is not None
                ready = selector.select(0 if dead else GLANCE)
                if dead and not ready:
                    break  # something that it left behind still holds the pipe
                for key, _ in ready:
                    source = key.fd
                    chunk = os.read(source, 1 << 16)
                    if not chunk:
                        selector.unregister(source)
                    *whole, rest[source] = LINE_ENDS.split(
                        rest[source] + chunk if chunk else rest[source] + b"\n"
                    )
                    for line in filter(None, whole):
                        text, is_message = line.decode("utf-8", "replace").rstrip(), source == self.messages
                        if not is_message:
                            self.last.append(text)
                        yield text, is_message

    def ended(self) -> int:
        """Wait for the end of a child that has closed its output; negative: the signal that ended it."""
        return self.process.wait()


@contextmanager
def started(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    second_channel: bool = False,
) -> Iterator[Child]:
    """Start a process; when the block is left, in whatever way, it and its children are ended.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        Added to the variables of this process.
    second_channel
        Whether the number of a pipe for messages is appended to the arguments.
    """
    reading, writing = os.pipe() if second_channel else (None, None)
    arguments = [*map(str, command), *([] if writing is None else [str(writing)])]
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            pass_fds=() if writing is None else (writing,),
            start_new_session=True,
        )
    except BaseException:
        _close(reading)
        raise
    finally:
        _close(writing)
    try:
        yield Child(process, reading)
    finally:
        end(process)
        _close(reading)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything that it started, and take its pipes back."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for descendant in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                descendant.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _close(pipe: int | None) -> None:
    if pipe is not None:
        os.close(pipe)
