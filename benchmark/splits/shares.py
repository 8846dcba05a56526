"""Schemes that hold out other shares than usual: ``doubles_test50``, ``singles_test25_validation20``.

The shares are in the name, in percent, so that whoever reads a row of a board or a name of a file knows them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import partial

from benchmark.errors import BenchmarkError, unknown
from benchmark.splits.contexts import CONTEXT_SCHEMES, contexts
from benchmark.splits.schemes import SCHEMES, Scheme, doubles, singles

ADJUSTABLE = {"doubles": doubles, "singles": singles, "contexts": contexts}
"""Schemes that take shares; the others are as they were published."""
PARTS = ("test", "validation")
NAME = re.compile(
    r"(?P<scheme>[a-z_]+?)(?:_test(?P<test>\d+(?:\.\d+)?))?(?:_validation(?P<validation>\d+(?:\.\d+)?))?"
)


def scheme_called(name: str) -> Scheme | None:
    """Return the scheme of a name, such as ``doubles`` or ``doubles_test50``; None where there is none."""
    found = NAME.fullmatch(name)
    if name in SCHEMES or found is None or found["scheme"] not in ADJUSTABLE:
        return {**SCHEMES, **CONTEXT_SCHEMES}.get(name)
    shares = {part: float(found[part]) / 100 for part in PARTS if found[part]}
    if _wrong(found["scheme"], shares) or _named(found["scheme"], shares) != name:
        return None
    whole = _usual(found["scheme"]) | shares
    return partial(ADJUSTABLE[found["scheme"]], test=whole["test"], validation=whole["validation"])


def with_shares(scheme: str, test: float | None = None, validation: float | None = None) -> str:
    """Name a scheme that holds out other shares; a scheme with its usual ones keeps its name.

    Parameters
    ----------
    scheme
        One of `ADJUSTABLE`.
    test, validation
        Parts, between 0 and 1, of what the scheme divides: pairs, genes that are perturbed alone, or the
        perturbations of a context. None for the usual ones.

    Raises
    ------
    BenchmarkError
        When the scheme takes none, or nothing would be left to learn from.
    """
    if scheme not in ADJUSTABLE:
        if scheme_called(scheme) is None:
            raise unknown("split with shares to choose", scheme, ADJUSTABLE)
        raise BenchmarkError(
            f"The split '{scheme}' has its shares by its name; those of {' and '.join(ADJUSTABLE)} can be "
            "chosen, and any others with lists of your own."
        )
    given = {"test": test, "validation": validation}
    shares = {part: share for part, share in given.items() if share is not None}
    if reason := _wrong(scheme, shares):
        raise BenchmarkError(reason)
    return _named(scheme, shares)


def _usual(scheme: str) -> dict[str, float]:
    parameters = inspect.signature(ADJUSTABLE[scheme]).parameters
    return {part: parameters[part].default for part in PARTS}


def _wrong(scheme: str, shares: Mapping[str, float]) -> str:
    """What is wrong with shares; nothing if they can be held out."""
    for part, share in shares.items():
        if not 0 < share < 1:
            return f"The {part} share is between 0 and 1, not {share:g}; give another."
    whole = sum({**_usual(scheme), **shares}.values())
    if whole > 1 - 1e-9:
        return f"Test and validation share are {whole:g} together and leave nothing to learn from; lower one."
    return ""


def _named(scheme: str, shares: Mapping[str, float]) -> str:
    usual = _usual(scheme)
    changed = {part: share for part, share in shares.items() if share != usual[part]}
    return scheme + "".join(f"_{part}{100 * share:g}" for part, share in changed.items())
