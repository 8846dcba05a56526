"""Errors that a user can act on: one sentence each, shown without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchmarkError(Exception):
    """What is wrong, what was found and what to do, in one sentence; the command line exits with 2."""


class NotFittedError(BenchmarkError):
    """A method was asked for predictions, or to be saved, before it was fitted."""


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> BenchmarkError:
    """Build the error for a name that does not exist, with the closest one that does.

    Parameters
    ----------
    kind
        What the name should have been: "method", "dataset", "option".
    name
        The name that was given.
    known
        The names that exist.
    hint
        How to see them all, such as "`python -m benchmark methods` lists them".
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        advice = f"did you mean '{close[0]}'?"
    elif hint:
        advice = f"{hint}."
    else:
        advice = f"known: {', '.join(names) or 'none'}."
    return BenchmarkError(f"There is no {kind} '{name}'; {advice}")
