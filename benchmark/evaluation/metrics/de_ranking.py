"""Metrics of how genes are ordered: by predicted fold change, and by predicted evidence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmark.evaluation.metrics.agreement import correlation
from benchmark.evaluation.metrics.calls import calls
from benchmark.evaluation.metrics.ordered import average_precision, average_ranks, roc_area
from benchmark.evaluation.metrics.response import FDR_THRESHOLD, Response
from benchmark.evaluation.metrics.spec import CONTROL_CELLS, MetricSpec, metric

LEAST_FDR = 1e-10  # cell-eval's: below it evidence is evidence
EVIDENCE = (
    "predicted -log10 FDR, FDR at least 1e-10, over genes with real FDR < 0.05 as positives (Wilcoxon, "
    "Benjamini-Hochberg); of more predicted cells than real ones only as many are tested"
)
ONE_CLASS = "no real DE gene, or no gene that is not one"


@metric(
    MetricSpec(
        name="de_spearman",
        version="1",
        family="DE",
        formula="Spearman correlation of predicted and real log2 fold change of mean counts over the real DE "
        "genes (Wilcoxon, FDR < 0.05); cell-eval's de_spearman_lfc_sig, which ratios geometric means by "
        "default",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set="real DE genes",
        reference=CONTROL_CELLS,
        nan_means="fewer than 2 real DE genes, or their real fold change is equal; an equal predicted fold "
        "change scores 0, because it says nothing about any gene and dropping it would reward it",
        reads="cells",
        aliases=("de_wilcoxon_lfc_spearman",),
    )
)
def de_spearman(real: Response, predicted: Response) -> float:
    """Rank correlation of the fold changes of the real DE genes."""
    genes = real.de_genes
    return correlation(*(average_ranks(side.log2_fold_change[genes]) for side in (real, predicted)))


@metric(
    MetricSpec(
        name="de_pr_auc",
        version="2",
        family="DE",
        formula=f"average precision of {EVIDENCE}; cell-eval's pr_auc; chance scores the share of DE genes",
        range=(0.0, 1.0),
        higher_is_better=True,
        gene_set="all genes",
        reference=CONTROL_CELLS,
        nan_means=ONE_CLASS,
        reads="cells",
        aliases=("de_wilcoxon_pr_auc",),
    )
)
def de_pr_auc(real: Response, predicted: Response) -> float:
    """How purely the genes of strongest predicted evidence are real DE genes."""
    return _of_evidence(average_precision, real, predicted)


@metric(
    MetricSpec(
        name="de_roc_auc",
        version="2",
        family="DE",
        formula=f"area under the ROC curve of {EVIDENCE}; cell-eval's roc_auc; chance scores 0.5",
        range=(0.0, 1.0),
        higher_is_better=True,
        gene_set="all genes",
        reference=CONTROL_CELLS,
        nan_means=ONE_CLASS,
        reads="cells",
        aliases=("de_wilcoxon_roc_auc",),
    )
)
def de_roc_auc(real: Response, predicted: Response) -> float:
    """Chance that a real DE gene has stronger predicted evidence than a gene that is none."""
    return _of_evidence(roc_area, real, predicted)


def _of_evidence(
    area: Callable[[np.ndarray, np.ndarray], float], real: Response, predicted: Response
) -> float:
    is_de, fdr = real.fdr[real.tested] < FDR_THRESHOLD, calls(real, predicted).predicted_fdr[real.tested]
    if is_de.all() or not is_de.any():
        return float("nan")
    found = area(is_de, -np.log10(np.maximum(fdr, LEAST_FDR)))
    return min(float(found), 1.0)  # sums of rounded terms may end above it
