"""Which predicted calls the real cells confirm: what the metrics of cell-eval2 about DE genes are made of.

Genes are called by the test of all cells of a side (Wilcoxon, FDR < 0.05). A gene *settles* a direction where
its real fold change is not 0; a predicted fold change of 0 there is a wrong one, so that nobody gains by
declining to answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.evaluation.metrics.once import once_per_pair
from benchmark.evaluation.metrics.response import FDR_THRESHOLD, Response

FEWEST_GENES = 10
"""With fewer real DE genes most metrics of cell-eval2 do not judge a perturbation."""

FEWEST_IN_DOUBT = 0.05
"""The least share of the rarer direction that a chance-corrected metric divides by."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Both sides of one perturbation, gene by gene; boolean arrays of shape (genes,).

    Attributes
    ----------
    counted
        Genes that either side tests, and, where that is asked for, are no target of the perturbation. Both
        test the same ones where they have the same control cells.
    real, predicted
        Genes among them that each side calls.
    settled
        Genes that both test and that settle a direction.
    rises
        Genes whose real fold change is above 0.
    right
        Settled genes whose predicted fold change has the real sign.
    confidence
        int64, (genes,): the place of each gene in the order of the prediction's confidence, by p-value, then
        |log2 fold change|, then name.
    """

    counted: np.ndarray
    real: np.ndarray
    predicted: np.ndarray
    settled: np.ndarray
    rises: np.ndarray
    right: np.ndarray
    confidence: np.ndarray

    @property
    def n_real(self) -> int:
        """Number of real DE genes."""
        return int(self.real.sum())

    @property
    def n_predicted(self) -> int:
        """Number of predicted DE genes that settle a direction."""
        return int((self.predicted & self.settled).sum())

    @property
    def n_right(self) -> int:
        """Number of these whose direction is right."""
        return int((self.predicted & self.right).sum())

    def depth(self, purity: float, among: np.ndarray) -> int:
        """Count the settled genes of the longest beginning of which so large a share has the right sign.

        Parameters
        ----------
        purity
            That share.
        among
            Boolean, (genes,): the genes that are put in the order of the prediction's confidence.
        """
        genes = np.flatnonzero(among & self.settled)
        genes = genes[np.argsort(self.confidence[genes])]
        depth = np.arange(1, len(genes) + 1)
        pure = np.flatnonzero(np.cumsum(self.right[genes]) / depth >= purity)
        return int(depth[pure[-1]]) if len(pure) else 0


@once_per_pair
def verdicts(real: Response, predicted: Response) -> Verdicts:
    """Judge all tested genes."""
    counted = real.tested | predicted.tested
    settled = real.tested & predicted.tested & (real.log2_fold_change != 0)
    signs = np.sign(predicted.log2_fold_change) == np.sign(real.log2_fold_change)
    by_name = real.reference.alphabetical
    order = np.lexsort((by_name, -np.abs(predicted.log2_fold_change), predicted.p_value))
    return Verdicts(
        counted=counted,
        real=counted & (real.fdr < FDR_THRESHOLD),
        predicted=counted & (predicted.fdr < FDR_THRESHOLD),
        settled=settled,
        rises=real.log2_fold_change > 0,
        right=settled & signs,
        confidence=np.argsort(order),
    )


@once_per_pair
def verdicts_without_targets(real: Response, predicted: Response) -> Verdicts:
    """Judge all tested genes but the targets of the perturbation, of which everybody knows what they do."""
    every = verdicts(real, predicted)
    others = np.ones(len(every.counted), dtype=bool)
    others[real.reference.targets([real.label])] = False
    return Verdicts(
        counted=every.counted & others,
        real=every.real & others,
        predicted=every.predicted & others,
        settled=every.settled & others,
        rises=every.rises,
        right=every.right & others,
        confidence=every.confidence,
    )
