"""The two metrics of DE genes that methods are ranked by: what chance and habit explain scores nothing.

As cell-eval defines them, overlap and direction match pay for ignorance (``docs/attacks.md``): where a third
of the genes change, calling every gene gives an overlap of a third, and where most genes fall, "all fall" is
right for most. Here both are adjusted, and both read the means of predicted cells alone, so that neither
their spread nor their number decides anything.
"""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.spec import CONTROL_CELLS, MetricSpec, metric

ROUNDING = 1e-5
"""Effects that differ by less are equal: genes with one count in the same cell change by the same number."""

SHARE_OF_MEAN_VARIANCE = 0.1
"""Added to each variance, so that a gene that hardly varies in control is not the first of all by noise."""


@metric(
    MetricSpec(
        name="de_overlap_adjusted",
        version="2",
        family="DE",
        formula="(s - k/n) / (1 - k/n), s = share of the k genes of n with the largest real effect that are "
        "among the k with the largest predicted effect, k = number of real DE genes (Wilcoxon, FDR < 0.05), "
        "effect = |change| / sqrt(v + mean of v / 10), v = variance of the control cells: 0 is what k genes "
        "drawn at random score, as in the adjusted Rand index (Hubert and Arabie 1985); the part added to v "
        "stands for the fudge factor of SAM (Tusher et al. 2001); among equal effects chance decides, of "
        "which the expectation counts",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set="as many genes of each side as there are real DE genes",
        reference=CONTROL_CELLS,
        nan_means="no real DE gene, or all genes are real DE genes",
        headline=True,
    )
)
def de_overlap_adjusted(real: Response, predicted: Response) -> float:
    """Share of the strongest genes that are predicted among the strongest, less what chance gives."""
    k, n = len(real.de_genes), len(real.change)
    if k in (0, n):
        return float("nan")
    share = float(_among_first(real, k) @ _among_first(predicted, k)) / k
    return (share - k / n) / (1 - k / n)


def _among_first(side: Response, k: int) -> np.ndarray:
    """How likely each gene is among the k of largest effect, where chance decides between equal ones."""
    variance = side.reference.control.variance
    spread = np.sqrt(variance + SHARE_OF_MEAN_VARIANCE * variance.mean())
    effect = np.divide(np.abs(side.change), spread, out=np.zeros(len(spread)), where=spread > 0)
    least = np.partition(effect, -k)[-k]
    larger, equal = effect > least + ROUNDING, np.abs(effect - least) <= ROUNDING
    places = k - np.count_nonzero(larger)
    return larger + equal * (places / np.count_nonzero(equal))


@metric(
    MetricSpec(
        name="direction_balanced",
        version="2",
        family="DE",
        formula="mean of two shares: of the rising and of the falling real DE genes (Wilcoxon, FDR < 0.05), "
        "those with sign(predicted change) = sign(real change), change = mean of log1p values minus that of "
        "the control cells: balanced accuracy (Brodersen et al. 2010); one sign for all genes scores 0.5, as "
        "does no change, which is right by half: a coin would decide",
        range=(0.0, 1.0),
        higher_is_better=True,
        gene_set="real DE genes",
        reference=CONTROL_CELLS,
        nan_means="no real DE gene; where all of them rise, or all fall, the share of that side alone",
        headline=True,
    )
)
def direction_balanced(real: Response, predicted: Response) -> float:
    """Share of right signs among the real DE genes, rising and falling ones weighing the same."""
    genes = real.de_genes
    rising = real.change[genes] > 0
    right = (1 + np.sign(predicted.change[genes]) * np.sign(real.change[genes])) / 2
    shares = [right[side].mean() for side in (rising, ~rising) if side.any()]
    return float(np.mean(shares)) if shares else float("nan")
