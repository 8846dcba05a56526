"""Perturbations are taken by several threads, which nothing that comes out tells of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from benchmark.evaluation.metrics.parallel import for_each
from tests.machine.process_case import PATIENCE


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Say how many threads numba may use."""
    return lambda number: monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", number)


def test_answers_come_in_the_order_of_the_labels_whoever_is_ready_first(
    threads: Callable[[int], None],
) -> None:
    """The first one waits for the second."""
    threads(2)
    second_is_done = threading.Event()

    def work(label: str) -> str:
        if label == "A":
            assert second_is_done.wait(PATIENCE)
        else:
            second_is_done.set()
        return label.lower()

    assert list(for_each(work, ["A", "B"])) == ["a", "b"]


def test_an_error_ends_the_work_before_all_is_begun(threads: Callable[[int], None]) -> None:
    """What waits when the error comes is never begun: there is work for minutes."""
    threads(1)
    begun, labels = [], ["A", "B", *map(str, range(10_000))]

    def work(label: str) -> None:
        begun.append(label)
        if label == "B":
            raise ValueError("no")
        time.sleep(0.05)

    with pytest.raises(ValueError, match="no"):
        list(for_each(work, labels))
    assert begun[:2] == ["A", "B"]
    assert len(begun) < len(labels)


def test_a_product_of_matrices_takes_one_thread_while_perturbations_take_all() -> None:
    """Otherwise every thread would call for all processors."""

    def blas_threads(_: str) -> set[int]:
        np.ones((2, 2)) @ np.ones((2, 2))
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    assert list(for_each(blas_threads, ["A"])) == [{1}]
