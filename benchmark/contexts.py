"""Contexts and batches of cells: the cell lines, donors or the like of a data set, and the runs of a machine.

Where a data set has several contexts, a perturbation in one of them is a condition, and labels of conditions,
``K562::A+B``, stand wherever those of perturbations do else: in splits, in scores and in archives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.perturbation import CONTROL, IN_CONTEXT

if TYPE_CHECKING:
    import pandas as pd

CONTEXT, BATCH = "context", "batch"
COLUMNS = (CONTEXT, BATCH)
"""Columns of ``obs`` in canonical form, where the card says which of the source they are."""

NONE = ""
"""What stands for the context of all cells where there are not several."""


def context_in(label: str) -> str:
    """Return the context in the label of a condition; `NONE` where the label is that of a perturbation."""
    return label.rpartition(IN_CONTEXT)[0]


def is_varied(obs: pd.DataFrame, name: str) -> bool:
    """Whether cells have several values of a column, which may be missing."""
    return name in obs and obs[name].nunique() > 1


def values_of(obs: pd.DataFrame, name: str) -> np.ndarray:
    """Return the context or the batch of each cell as texts, (cells,): `NONE` where there are not several."""
    if is_varied(obs, name):
        return obs[name].to_numpy().astype(str).astype(object)
    return np.full(len(obs), NONE, dtype=object)


def contexts_of(obs: pd.DataFrame) -> list[str]:
    """Return the contexts in alphabetical order: `NONE` alone where there are not several."""
    return sorted(map(str, obs[CONTEXT].unique())) if is_varied(obs, CONTEXT) else [NONE]


def labels_of(obs: pd.DataFrame) -> np.ndarray:
    """Return the label of the condition of each cell of a data set, (cells,).

    Control cells of all contexts are called so alike.
    """
    labels = obs["perturbation"].to_numpy()
    return _conditions(labels, values_of(obs, CONTEXT)) if is_varied(obs, CONTEXT) else labels


def values_in_view(obs: pd.DataFrame, name: str) -> np.ndarray:
    """Return the context or the batch of each cell that methods are given, `NONE` where it is not said."""
    return obs[name].to_numpy() if name in obs else np.full(len(obs), NONE, dtype=object)


def labels_in_view(obs: pd.DataFrame) -> np.ndarray:
    """Return the same as `labels_of` of cells that methods are given, which may all be of one context."""
    labels, contexts = obs["perturbation"].to_numpy(), values_in_view(obs, CONTEXT)
    return _conditions(labels, contexts) if (contexts != NONE).any() else labels


def require_one(obs: pd.DataFrame, method: str) -> None:
    """Refuse cells of several contexts, for a method that would take what contexts differ in for a change.

    Raises
    ------
    BenchmarkError
        Where the cells that the method is given are of several.
    """
    names = sorted(set(map(str, values_in_view(obs, CONTEXT))))
    if len(names) > 1:
        raise BenchmarkError(
            f"{method} compares perturbed cells with control cells of any context, and these are of "
            f"{len(names)} ({', '.join(names)}); use data of one context, or a method that looks at them."
        )


def _conditions(labels: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    conditions = contexts.astype(object) + IN_CONTEXT + labels.astype(object)
    return np.where(labels == CONTROL, CONTROL, conditions)
