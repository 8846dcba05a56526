"""Perturbations are independent of each other, so several are taken at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def for_each(work: Callable[[str], T], labels: Iterable[str]) -> Iterator[T]:
    """Yield `work` of each label, in order, from as many threads as numba may use (``NUMBA_NUM_THREADS``).

    Threads and not processes, because nearly all the time goes to sorting, merging and multiplying, which let
    other threads run. Each call is the work of one thread, its products of matrices too, so that no value
    depends on how many there are. An error ends the iteration; what had not been begun is not begun.
    """
    # Here, so that whoever only reads the declarations of metrics does not wait for a compiler.
    import numba
    from threadpoolctl import threadpool_limits

    threads = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, labels)
