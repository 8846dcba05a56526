"""The cell contexts that a flow tells apart: their names, numbers and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from anndata import AnnData

from benchmark.contexts import NONE
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._pseudobulk import alike, control_means
from methods._trained_flow.rows import controls_by_context, perturbed_rows


@dataclass(frozen=True)
class CellContexts:
    """Contexts of which a method was given control cells.

    Attributes
    ----------
    names
        In alphabetical order; `NONE` alone where there are not several.
    """

    names: list[str]

    @classmethod
    def of(cls, train: AnnData) -> Self:
        """Those of training cells.

        Raises
        ------
        BenchmarkError
            Where there are several, and one has no control cells.
        """
        controls = controls_by_context(train)
        without = [name for name, rows in controls.items() if not len(rows)]
        if without and len(controls) > 1:
            raise BenchmarkError(
                f"The context '{without[0]}' has perturbed cells and no control cells in training; give some."
            )
        return cls(list(controls))

    @property
    def told_apart(self) -> int:
        """How many there are to tell apart: 0 where there is one alone."""
        return len(self.names) if len(self.names) > 1 else 0

    def place(self, context: str) -> int:
        """The number of a context.

        Raises
        ------
        BenchmarkError
            Where no control cells of it were given.
        """
        if self.names == [NONE]:
            return 0
        if context not in self.names:
            raise BenchmarkError(
                f"No control cells of the context '{context}' were given in training, only of "
                f"{', '.join(self.names)}; fit the method on some."
            )
        return self.names.index(context)

    def token(self, context: str) -> list[int]:
        """What stands behind the tokens of a perturbation: its number; nothing where there is one alone."""
        place = self.place(context)
        return [place] if self.told_apart else []

    def shares(self, train: AnnData) -> np.ndarray:
        """How much of what is learned of each context (column) is true of each (row), float32.

        Rows sum to 1. A context that shows perturbed cells is itself. One that shows control cells alone is
        a mixture of those, by how alike their control cells are.
        """
        means = control_means(train)
        seen = {Perturbation.parse(label).context for label in perturbed_rows(train)}
        columns = [place for place, name in enumerate(self.names) if name in seen]
        found = np.eye(len(self.names), dtype=np.float32)
        for row, name in enumerate(self.names):
            if name not in seen:
                weights = alike(means[name], [means[self.names[column]] for column in columns])
                found[row] = 0
                found[row, columns] = weights / weights.sum()
        return found
