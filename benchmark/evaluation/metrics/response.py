"""How the cells of one perturbation differ from the control cells, gene by gene: all that a metric sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from benchmark.evaluation.metrics.kept import Kept
from benchmark.evaluation.metrics.reference import Reference
from benchmark.evaluation.metrics.sorted_cells import SortedCells

FDR_THRESHOLD = 0.05

RESOLUTION = 1e-6
"""A smaller change is none: float32 cells that were moved to a mean may be as far off it."""


@dataclass(frozen=True, eq=False)
class Response:
    """One side, real or predicted, of one perturbation against its control cells.

    Arrays over genes have the shape (genes,), dtype float64 and the gene order of the reference.

    Attributes
    ----------
    label
        The perturbation: ``A`` or ``A+B``.
    reference
        What both sides rest on; the same object on both.
    control
        The control cells of this side: `Reference.control` of the real one, `Reference.given` of the other.
    cells
        float32, (cells, genes): log1p of counts per 10,000.
    ascending
        float32, (genes, cells): the same values, each gene sorted by itself.
    mean
        Mean over cells of the expression, log1p of counts per 10,000.
    variance
        Variance over cells of the expression, divisor `n_cells` - 1.
    change
        `mean` minus the mean of the control cells of this side; 0 where the two differ by rounding.
    log2_fold_change
        log2 of the ratio of mean counts per 10,000 (see `differential_expression` for means of zero).
    p_value
        Two-sided Wilcoxon rank-sum test against the control cells.
    fdr
        The same after Benjamini and Hochberg over all genes of this perturbation that are tested.
    is_tested
        Boolean: which genes are tested; None for all, as log values always are. The p-value and the false
        discovery rate of another gene are 1.
    jackknife
        `noise`, where it was estimated by leaving each cell out, as that of counts is; None elsewhere.
    kept
        What else was worked out of this side alone.
    """

    label: str
    reference: Reference
    control: SortedCells
    cells: np.ndarray
    ascending: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    change: np.ndarray
    log2_fold_change: np.ndarray
    p_value: np.ndarray
    fdr: np.ndarray
    is_tested: np.ndarray | None = None
    jackknife: float | None = None
    kept: Kept = field(default_factory=Kept)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.cells)

    @property
    def noise(self) -> float:
        """What the sampling of cells adds to a squared distance of `mean`, summed over genes, on average."""
        return float(self.variance.sum() / self.n_cells) if self.jackknife is None else self.jackknife

    @cached_property
    def tested(self) -> np.ndarray:
        """Boolean, (genes,): which genes are tested."""
        return np.ones(len(self.fdr), dtype=bool) if self.is_tested is None else self.is_tested

    @cached_property
    def de_genes(self) -> np.ndarray:
        """Indices of the genes with FDR < 0.05, by descending |log2 fold change|; ties keep gene order."""
        return self.strongest(self.fdr < FDR_THRESHOLD)

    def strongest(self, chosen: np.ndarray) -> np.ndarray:
        """Indices of chosen genes, bool (genes,), by descending |log2 fold change|; ties keep gene order."""
        genes = np.flatnonzero(chosen)
        return genes[np.argsort(-np.abs(self.log2_fold_change[genes]), kind="stable")]


@dataclass(frozen=True, eq=False)
class Panel:
    """The mean responses to all perturbations that are scored together: what a rank is taken among.

    Attributes
    ----------
    labels
        The perturbations, in the order of the rows.
    reference
        What they are measured against.
    real, predicted
        float64, (perturbations, genes): the mean of each side minus that of the same control cells, since
        distances from one predicted response to all real ones share them anyway.
    real_noise, predicted_noise
        float64, (perturbations,): `Response.noise` of each side.
    called
        Boolean, (perturbations, genes): the real DE genes of each.
    real_shares, predicted_shares
        float64, (perturbations, 2): how the two singles share in a double on each side, see
        `benchmark.evaluation.metrics.interaction_fit`; NaN where it is no double or they are not measured.
    """

    labels: tuple[str, ...]
    reference: Reference
    real: np.ndarray
    predicted: np.ndarray
    real_noise: np.ndarray
    predicted_noise: np.ndarray
    called: np.ndarray
    real_shares: np.ndarray
    predicted_shares: np.ndarray

    @cached_property
    def scored(self) -> np.ndarray:
        """Boolean, (perturbations, genes): all but the own targets of each."""
        scored = np.ones(self.real.shape, dtype=bool)
        for row, label in enumerate(self.labels):
            scored[row, self.reference.targets([label])] = False
        return scored
