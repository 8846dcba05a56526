"""What columns say of contexts and batches, and what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.cards import DatasetCard
from benchmark.data.cells import Cells, column
from benchmark.data.refusal import Problem
from benchmark.perturbation import CONTROL, IN_CONTEXT

if TYPE_CHECKING:
    import pandas as pd


def read_surroundings(cells: Cells, obs: pd.DataFrame, card: DatasetCard) -> None:
    """Read the context and the batch of each kept cell from the columns that a card names.

    Raises
    ------
    BenchmarkError
        When a column is missing; other problems are noted.
    """
    if card.context_column is not None:
        cells.contexts = _read(cells, obs, card.context_column, "--context-column")
        wrong = sorted({name for name in cells.contexts if IN_CONTEXT in name})
        if wrong:
            cells.problems.append(
                Problem(
                    f"Context '{wrong[0]}' has '{IN_CONTEXT}' in it, which stands between a context and a "
                    "perturbation; rename it"
                )
            )
    if card.batch_column is not None:
        cells.batches = _read(cells, obs, card.batch_column, "--batch-column")


def _read(cells: Cells, obs: pd.DataFrame, name: str, option: str) -> np.ndarray:
    values = column(obs, name, option)[cells.rows]
    empty = np.array([value is None or not value.strip() for value in values], dtype=bool)
    if empty.any():
        cells.problems.append(
            Problem(
                f"Column '{name}' of obs is empty for {int(empty.sum()):,} cells; say where they were "
                "measured, or remove them"
            )
        )
        values[empty] = "unknown"
    return values


def require_controls_of_contexts(cells: Cells, card: DatasetCard) -> None:
    """Note contexts without control cells, against which nothing can be measured."""
    if cells.contexts is None or CONTROL not in cells.labels:
        return
    with_controls = set(cells.contexts[cells.labels == CONTROL])
    without = sorted(set(cells.contexts) - with_controls)
    if without:
        number = int(np.isin(cells.contexts, without).sum())
        cells.problems.append(
            Problem(
                f"{len(without)} of {len(set(cells.contexts))} contexts of dataset '{card.name}' have no "
                f"control cells, such as '{without[0]}' ({number:,} cells), so that changes in them cannot "
                "be measured",
                {"drop": (*card.drop, *(f"{card.context_column}={name}" for name in without))},
            )
        )
