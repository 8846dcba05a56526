"""Watching a piece of work: what it changes of the cells it is given, and of what belongs to everybody."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from anndata import AnnData

Result = TypeVar("Result")


@dataclass(frozen=True)
class Observed(Generic[Result]):
    """A piece of work that was watched.

    Attributes
    ----------
    result
        What came of it.
    given
        The cells that it was given.
    changes_given
        Whether it changed any of them.
    disturbs
        What it changed of what belongs to everybody, in words.
    """

    result: Result
    given: tuple[AnnData, ...]
    changes_given: bool
    disturbs: tuple[str, ...]


def observe(work: Callable[[], Result], given: Sequence[AnnData]) -> Observed[Result]:
    """Do a piece of work, and see what it changes.

    What belongs to everybody is put back afterwards, so that work which is watched once more does not find
    it changed already.
    """
    contents = [_contents(cells) for cells in given]
    shared = _shared()
    with warnings.catch_warnings():  # puts the filters back
        before = {name: read() for name, (read, _) in shared.items()}
        result = work()
        disturbs = tuple(name for name, (read, _) in shared.items() if read() != before[name])
    for name in disturbs:
        _, put_back = shared[name]
        put_back(before[name])
    changed = any(not _holds(cells, content) for cells, content in zip(given, contents, strict=True))
    return Observed(result, tuple(given), changed, disturbs)


def _contents(cells: AnnData) -> tuple[np.ndarray, Any, list[str]]:
    return cells.X.toarray(), cells.obs.copy(), list(cells.var_names)


def _holds(cells: AnnData, contents: tuple[np.ndarray, Any, list[str]]) -> bool:
    values, obs, names = contents
    unchanged = np.array_equal(cells.X.toarray(), values) and cells.obs.equals(obs)
    return bool(unchanged) and list(cells.var_names) == names


def _shared() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """How everything that belongs to everybody is read, and how it is put back."""
    shared: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
        "the state of random": (random.getstate, random.setstate),
        "the state of numpy.random": (_state_of_numpy, np.random.set_state),
        "the warning filters": (lambda: list(warnings.filters), lambda _: None),
        "the working directory": (os.getcwd, os.chdir),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        shared |= {
            "the random state of torch": (
                lambda: torch.get_rng_state().tolist(),
                lambda state: torch.set_rng_state(torch.tensor(state, dtype=torch.uint8)),
            ),
            "the default type of torch": (torch.get_default_dtype, torch.set_default_dtype),
            "the number of threads of torch": (torch.get_num_threads, torch.set_num_threads),
        }
    return shared


def _state_of_numpy() -> tuple[Any, ...]:
    return tuple(np.asarray(part).tolist() for part in np.random.get_state())  # noqa: NPY002
