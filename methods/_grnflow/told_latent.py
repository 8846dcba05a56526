"""The oracle's latents of perturbations that are predicted: the true one, or that of another perturbation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._flow.randomness import seeded_generator
from methods._grn.features import Standardiser
from methods._grnflow.oracle import Tells, tells_edges, tells_regulation

TELLS = {"regulation": tells_regulation, "edges": tells_edges}
"""What the oracle can tell, by `oracle_of`."""


class TrueLatents:
    """Looks up latents in the units that a flow was trained with.

    Parameters
    ----------
    of
        What the oracle tells: ``regulation`` or ``edges``.
    genes
        The panel.
    trained
        Labels of the training perturbations.
    units
        What their latents were standardised with.
    seed
        Of which other perturbation is taken for one that is predicted.
    """

    def __init__(
        self, of: str, genes: Sequence[str], trained: Sequence[str], units: Standardiser, seed: int
    ) -> None:
        self.of, self.genes, self.trained, self.units, self.seed = of, genes, list(trained), units, seed
        self._known: dict[str, Tensor] = {}

    def true(self, perturbation: Perturbation) -> Tensor:
        """The latent of a perturbation, float32 (genes, d)."""
        label = str(perturbation)
        if label not in self._known:
            raw = torch.from_numpy(self._tells([label]))
            self._known[label] = self.units.apply(raw)[0].float()
        return self._known[label]

    def wrong(self, perturbation: Perturbation) -> Tensor:
        """The latent of another perturbation, which shares no gene with this one if there is such a one."""
        return self.true(self.other(perturbation))

    def other(self, perturbation: Perturbation) -> Perturbation:
        """A training perturbation of other genes and, where possible, of as many; always the same one.

        Raises
        ------
        BenchmarkError
            When there was no other one in training.
        """
        genes = set(perturbation.genes)
        others = [p for p in map(Perturbation.parse, self.trained) if p != perturbation]
        if not others:
            raise BenchmarkError(
                f"The order 'wrong_latent' tells the latent of another training perturbation, and "
                f"'{perturbation}' is the only one; train on more, or choose another order."
            )
        # The first of these that is there at all: as many other genes, other genes, another perturbation.
        apart = [p for p in others if genes.isdisjoint(p.genes)]
        alike = [p for p in apart if len(p.genes) == len(genes)]
        candidates = alike or apart or others
        generator = seeded_generator(self.seed, f"another than {perturbation}")
        return candidates[int(torch.randint(len(candidates), (1,), generator=generator))]

    def state(self) -> dict[str, Any]:
        """What is not known from elsewhere when it is restored, as names and arrays."""
        mean, deviation = self.units.mean.numpy(), self.units.deviation.numpy()
        return {"trained": self.trained, "mean": mean, "deviation": deviation}

    @classmethod
    def restored(cls, of: str, genes: Sequence[str], seed: int, state: dict[str, Any]) -> Self:
        """Take back what `state` gave."""
        mean, deviation = (torch.from_numpy(np.asarray(state[name])) for name in ("mean", "deviation"))
        return cls(of, genes, state["trained"], Standardiser(mean, deviation), seed)

    @cached_property
    def _tells(self) -> Tells:
        return TELLS[self.of](self.genes, self.trained)
