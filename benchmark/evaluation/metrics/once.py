"""What several metrics need of the same two responses is computed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from benchmark.evaluation.metrics.response import Response

T = TypeVar("T")
Pairwise = Callable[[Response, Response], T]


def once_per_pair(compute: Pairwise[T]) -> Pairwise[T]:
    """Remember what a function of the real and the predicted response gave, for as long as both live.

    Parameters
    ----------
    compute
        A pure function; what it returns must not hold a response, which would then live for ever.
    """
    known: WeakKeyDictionary[Response, WeakKeyDictionary[Response, T]] = WeakKeyDictionary()

    @wraps(compute)
    def remembered(real: Response, predicted: Response) -> T:
        of_real = known.setdefault(real, WeakKeyDictionary())
        if predicted not in of_real:
            of_real[predicted] = compute(real, predicted)
        return of_real[predicted]

    return remembered
