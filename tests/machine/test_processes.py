"""How many threads a process takes, on which the numbers of a training depend."""

from __future__ import annotations

import os

import pytest

from benchmark.machine.processes import cores, threads, threads_for_each


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 5})
    cores.cache_clear()
    yield
    cores.cache_clear()


def test_cores_that_come_or_go_do_not_change_a_running_process(monkeypatch):
    assert threads() == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    assert threads() == 4


@pytest.mark.parametrize(("said", "taken"), [("3", 3), ("0", 4), ("many", 4), ("", 4)])
def test_the_variable_decides_where_it_is_a_number(monkeypatch, said, taken):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert threads() == taken


@pytest.mark.parametrize(("processes", "each"), [(1, 4), (2, 2), (3, 1), (9, 1)])
def test_processes_share_the_cores(processes, each):
    assert threads_for_each(processes) == each
