"""The cells of a file that are read, and what their columns say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contexts import COLUMNS
from benchmark.data.refusal import Problem
from benchmark.errors import unknown
from benchmark.perturbation import CONTROL, IN_CONTEXT

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Cells:
    """The cells of a file that are read.

    Attributes
    ----------
    rows
        Which cells of the file, boolean, (cells of the file,).
    source, labels
        Label of each kept cell as it is in the file, and in canonical form.
    names
        Label in the file -> the genes that it names, of all cells that the card keeps.
    contexts, batches
        Of each kept cell, where the card names their columns.
    problems
        For what these cells cannot be used.
    left_out
        What was left out on request, with its number.
    """

    rows: np.ndarray
    source: np.ndarray
    labels: np.ndarray
    names: dict[str, tuple[str, ...]]
    contexts: np.ndarray | None = None
    batches: np.ndarray | None = None
    problems: list[Problem] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def perturbed(self) -> set[str]:
        """The perturbed genes."""
        return {gene for label in self.sizes() if label != CONTROL for gene in label.split("+")}

    @property
    def surroundings(self) -> dict[str, np.ndarray]:
        """Context and batch of each kept cell, as far as they are known, by the names of `COLUMNS`."""
        found = zip(COLUMNS, (self.contexts, self.batches), strict=True)
        return {name: values for name, values in found if values is not None}

    @property
    def conditions(self) -> np.ndarray:
        """Label of each kept cell with its context, where there are several; also of control cells."""
        if self.contexts is None or len(set(self.contexts)) < 2:
            return self.labels
        return self.contexts + IN_CONTEXT + self.labels

    def sizes(self) -> Counter[str]:
        """Cells by canonical label."""
        return Counter(self.labels)

    def keep(self, kept: np.ndarray, what: str = "") -> None:
        """Leave cells out, and count them where that was asked for."""
        if not kept.all():
            self.rows[self.rows] = kept
            self.source, self.labels = self.source[kept], self.labels[kept]
            self.contexts = None if self.contexts is None else self.contexts[kept]
            self.batches = None if self.batches is None else self.batches[kept]
            if what:
                self.left_out.append(what)


def column(obs: pd.DataFrame, name: str, option: str) -> np.ndarray:
    """Return a column of obs as plain strings, None where it is empty."""
    if name not in obs:
        raise unknown("column of obs", name, map(str, obs.columns), f"choose it with {option}")
    values = obs[name]
    strings = np.array(values.astype(str), dtype=object)
    strings[values.isna().to_numpy()] = None
    return strings
