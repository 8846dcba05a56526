"""What fails inside a method: in which phase, and at which line of its author's code."""

from __future__ import annotations

import errno
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError
from benchmark.machine.extras import named_where_missing
from benchmark.machine.peers import noticing_loss

if TYPE_CHECKING:
    from benchmark.method import Method

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A full disk is not the method's fault."""
NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}
"""Nor is a folder that nobody may write to."""
INSTALLED = ("site-packages", "dist-packages", str(Path(sys.base_prefix) / "lib"))


class MethodFailedError(Exception):
    """A method raised, or ended the process; the command line exits with 1."""


def reason_of(error: BaseException) -> str:
    """Return the first line of what went wrong, with the kind of error where the line does not say it."""
    first_line = str(error).partition("\n")[0]
    return first_line if isinstance(error, MethodFailedError) else f"{type(error).__name__}: {first_line}"


@contextmanager
def told_apart(method: Method, phase: str) -> Iterator[None]:
    """Say of what a method raises that it is the method's, in which phase, and at which line of its code.

    What a user can mend, an interrupt and a full disk pass as they are.

    Parameters
    ----------
    method
        The method that is at work in the block.
    phase
        What it does, such as "fitting".
    """
    try:
        with named_where_missing(), noticing_loss():  # a connection that breaks is not the method's doing
            yield
    except BenchmarkError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        raise MethodFailedError(f"{method.name} failed while {phase}: {told(type(method), error)}") from error


def told(method: type[Method], error: BaseException) -> str:
    """Tell an exception in one line, and in a second one the last line of the method's code before it."""
    said = str(error).partition("\n")[0]
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if isinstance(error, SystemExit):
        what = f"it ended the process (sys.exit({error.code!r})), which is not for a method to do"
    return what + _place(method, error)


def _place(method: type[Method], error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = inspect.getsourcefile(method) or ""
    harness, folder = str(Path(__file__).parent), str(Path(own).parent)
    of_author = [frame for frame in frames if not frame.filename.startswith(harness)]
    for chosen in (
        [frame for frame in of_author if frame.filename == own],
        [frame for frame in of_author if own and frame.filename.startswith(folder)],
        [frame for frame in of_author if not any(part in frame.filename for part in INSTALLED)],
    ):
        if chosen:
            last = chosen[-1]
            return f"\n  {last.filename}:{last.lineno}, in {last.name}: {last.line}"
    return ""
