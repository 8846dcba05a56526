"""What responses are measured against: real cells, and for each side its own control cells."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics.parallel import for_each
from benchmark.evaluation.metrics.sorted_cells import Matrix, SortedCells, mean_of
from benchmark.perturbation import Perturbation


@dataclass(frozen=True, eq=False)
class Moments:
    """Means and variances of the real cells of one perturbation.

    Attributes
    ----------
    n_cells
        Number of cells.
    mean, variance
        float64, (genes,): of log1p of counts per 10,000, divisor of the variance `n_cells` - 1.
    """

    n_cells: int
    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True, eq=False)
class Reference:
    """Real cells that are no answer to what is asked.

    Attributes
    ----------
    genes
        Gene symbols, in the order of every array of genes.
    control
        The control cells that the real side is measured against, sorted once for all perturbations.
    given
        Those that the predicted side is measured against: the ones that methods know. Where they are the
        same, the noise of their mean is in both changes, and correlations count it as agreement.
    centroid
        float64, (genes,): mean over the training perturbations, each counted once, of their mean expression;
        None where the training perturbations are not known.
    singles
        Gene -> the real cells in which it alone is perturbed, for the genes of doubles that are scored.
    """

    genes: tuple[str, ...]
    control: SortedCells
    given: SortedCells
    centroid: np.ndarray | None
    singles: Mapping[str, Moments]

    @classmethod
    def of(
        cls,
        control: Matrix,
        genes: Sequence[str],
        train: Mapping[str, Matrix] | None = None,
        singles: Mapping[str, Matrix] | None = None,
        given: Matrix | None = None,
    ) -> Self:
        """Summarise real cells; each thread takes one perturbation at a time.

        Parameters
        ----------
        control
            The control cells: (cells, genes), dense or sparse, log1p of counts per 10,000.
        genes
            Their gene symbols.
        train
            Label -> cells of each training perturbation.
        singles
            Gene -> cells in which it alone is perturbed.
        given
            The control cells that methods know, where they are others than `control`.

        Raises
        ------
        BenchmarkError
            When the number of genes differs, or as `SortedCells.of` does.
        """
        if control.ndim == 2 and control.shape[1] != len(genes):
            raise BenchmarkError(
                f"The control cells have {control.shape[1]} genes, but {len(genes)} gene symbols were given; "
                "give one for each."
            )
        train, singles = train or {}, singles or {}

        def mean(label: str) -> np.ndarray:
            return mean_of(train[label], f"The cells of '{label}'")

        def moments(gene: str) -> Moments:
            found = SortedCells.of(singles[gene], f"The cells of '{gene}'")
            return Moments(found.n_cells, found.mean, found.variance)

        of_real = SortedCells.of(control, "The control cells")
        return cls(
            genes=tuple(genes),
            control=of_real,
            given=of_real if given is None else SortedCells.of(given, "The control cells of methods"),
            centroid=np.mean(list(for_each(mean, train)), axis=0) if train else None,
            singles=dict(zip(singles, for_each(moments, singles), strict=True)),
        )

    def targets(self, labels: Sequence[str]) -> np.ndarray:
        """Columns of the genes that any of these perturbations targets, ascending; only measured ones."""
        named = {gene for label in labels for gene in Perturbation.parse(label).genes}
        found = [self._column[gene] for gene in named & self._column.keys()]
        return np.array(sorted(found), dtype=np.int64)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the genes, in their order, and of the control cells that the real side has."""
        digest = hashlib.sha256("\n".join(self.genes).encode())
        digest.update(np.ascontiguousarray(self.control.values).data)
        return digest.digest()

    @cached_property
    def alphabetical(self) -> np.ndarray:
        """int64, (genes,): the place of each gene in the alphabetical order of their names."""
        return np.argsort(np.argsort(np.array(self.genes), kind="stable"), kind="stable")

    @cached_property
    def _column(self) -> dict[str, int]:
        return {gene: index for index, gene in enumerate(self.genes)}
