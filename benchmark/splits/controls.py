"""Which control cells methods are given, and which real changes are measured against."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from benchmark.contexts import CONTEXT, values_of
from benchmark.perturbation import CONTROL, Perturbation

if TYPE_CHECKING:
    import pandas as pd


FEWEST_CONTROLS = 4
"""Control cells that can be divided: a mean with a spread needs two on each side. Fewer are shared."""


class Controls(BaseModel):
    """Which control cells methods are given; what is real is measured against the others.

    Where both sides share them, the noise of their mean is in the real and in the predicted change, and every
    correlation of the two counts it as agreement.

    Attributes
    ----------
    n
        Control cells of the dataset.
    given
        A bit for each of them in the order of the dataset, 1 where methods are given it, in hexadecimal;
        filled up with zeros.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int = Field(ge=FEWEST_CONTROLS)
    given: str = Field(pattern="^([0-9a-f]{2})+$")

    @classmethod
    def halves(cls, n: int, seed: int) -> Self:
        """Give methods half of `n` cells, drawn by NumPy's legacy generator; of an odd number the less."""
        given = np.zeros(n, dtype=bool)
        given[np.random.RandomState(seed).permutation(n)[: n // 2]] = True
        return cls(n=n, given=np.packbits(given).tobytes().hex())

    @classmethod
    def of_contexts(cls, contexts: np.ndarray, divided: Collection[str], seed: int) -> Self | None:
        """Give methods half of the control cells of some contexts, as `halves` does, and all of the others.

        Parameters
        ----------
        contexts
            Of each control cell, (n,).
        divided
            The contexts in which something is measured against control cells.
        seed
            Of the draw.

        Returns
        -------
        Controls
            None where one of these contexts has too few to be divided: then both sides share all.
        """
        given = np.ones(len(contexts), dtype=bool)
        for context in sorted(divided):
            rows = np.flatnonzero(contexts == context)
            if len(rows) < FEWEST_CONTROLS:
                return None
            given[rows] = cls.halves(len(rows), seed).mask
        return cls(n=len(contexts), given=np.packbits(given).tobytes().hex())

    def known(self, shared: bool) -> int:
        """How many cells methods are given, of those that are divided or of all."""
        return self.n if shared else int(self.mask.sum())

    @property
    def mask(self) -> np.ndarray:
        """Which cells methods are given: bool, (n,)."""
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(self.given), dtype=np.uint8))
        return bits[: self.n].astype(bool)


def divided_controls(obs: pd.DataFrame, held_out: Iterable[str], seed: int) -> Controls | None:
    """Divide the control cells of each context in which something is held out; see `Controls.of_contexts`."""
    contexts = values_of(obs, CONTEXT)[(obs["perturbation"] == CONTROL).to_numpy()]
    return Controls.of_contexts(contexts, {Perturbation.parse(label).context for label in held_out}, seed)
