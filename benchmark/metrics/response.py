"""How the cells of one perturbation differ from the control cells, gene by gene: all that a metric sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

FDR_THRESHOLD = 0.05


@dataclass(frozen=True, eq=False)
class Response:
    """One side, real or predicted, of one perturbation against the real control cells.

    All arrays have the shape (genes,), dtype float64 and the gene order of the control cells.

    Attributes
    ----------
    n_cells
        Number of cells.
    mean
        Mean over cells of the expression, log1p of counts per 10,000.
    variance
        Variance over cells of the expression, divisor `n_cells` - 1.
    change
        `mean` minus the mean of the control cells.
    log2_fold_change
        log2 of the ratio of mean counts per 10,000 (see `differential_expression` for means of zero).
    p_value
        Two-sided Wilcoxon rank-sum test against the control cells.
    fdr
        `p_value` after Benjamini and Hochberg over all genes of this perturbation.
    """

    n_cells: int
    mean: np.ndarray
    variance: np.ndarray
    change: np.ndarray
    log2_fold_change: np.ndarray
    p_value: np.ndarray
    fdr: np.ndarray

    @cached_property
    def de_genes(self) -> np.ndarray:
        """Indices of the genes with FDR < 0.05, by descending |log2 fold change|; ties keep gene order."""
        significant = np.flatnonzero(self.fdr < FDR_THRESHOLD)
        order = np.argsort(-np.abs(self.log2_fold_change[significant]), kind="stable")
        return significant[order]
