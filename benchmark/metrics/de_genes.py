"""Metrics of which genes are differentially expressed, and in which direction."""

from __future__ import annotations

import numpy as np

from benchmark.metrics.response import Response
from benchmark.metrics.spec import MetricSpec, metric

CONTROL_CELLS = "the real control cells, for both sides"


def _count(name: str, side: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="1",
        family="DE",
        formula=f"number of {side} DE genes (Wilcoxon, FDR < 0.05)",
        range=(0.0, float("inf")),
        higher_is_better=None,
        gene_set="all genes",
        reference=CONTROL_CELLS,
        nan_means="never NaN",
    )


def _overlap(real: Response, predicted: Response, limit: int | None = None) -> float:
    k = len(real.de_genes) if limit is None else min(limit, len(real.de_genes))
    if k == 0:
        return float("nan")
    return len(np.intersect1d(real.de_genes[:k], predicted.de_genes[:k])) / k


@metric(
    MetricSpec(
        name="de_overlap",
        version="1",
        family="DE",
        formula="|first k real DE genes & first k predicted DE genes| / k, DE genes (Wilcoxon, FDR < 0.05) "
        "by descending |log2 fold change of mean counts|, k = number of real DE genes; "
        "cell-eval's overlap_at_N, which ratios geometric means by default",
        range=(0.0, 1.0),
        higher_is_better=True,
        gene_set="DE genes of each side",
        reference=CONTROL_CELLS,
        nan_means="no real DE gene (cell-eval writes 0); no predicted DE gene scores 0",
        headline=True,
    )
)
def de_overlap(real: Response, predicted: Response) -> float:
    """Share of the real DE genes that are among as many of the strongest predicted DE genes."""
    return _overlap(real, predicted)


def _declare_overlap_at(limit: int) -> None:
    @metric(
        MetricSpec(
            name=f"de_overlap_{limit}",
            version="1",
            family="DE",
            formula=f"as de_overlap with k = min({limit}, number of real DE genes); "
            "cell-eval's overlap metric with that k",
            range=(0.0, 1.0),
            higher_is_better=True,
            gene_set=f"at most {limit} DE genes of each side",
            reference=CONTROL_CELLS,
            nan_means="no real DE gene (cell-eval writes 0); no predicted DE gene scores 0",
        )
    )
    def overlap_at(real: Response, predicted: Response) -> float:
        return _overlap(real, predicted, limit)


for _limit in (20, 50, 100):
    _declare_overlap_at(_limit)


@metric(
    MetricSpec(
        name="direction",
        version="1",
        family="DE",
        formula="share of the real DE genes with sign(predicted change) = sign(real change), change = mean "
        "of log1p values minus that of the control cells; cell-eval's de_direction_match",
        range=(0.0, 1.0),
        higher_is_better=True,
        gene_set="real DE genes",
        reference=CONTROL_CELLS,
        nan_means="no real DE gene; a predicted change of exactly 0 counts as wrong",
        headline=True,
    )
)
def direction(real: Response, predicted: Response) -> float:
    """Share of the real DE genes whose predicted change has the real sign."""
    genes = real.de_genes
    if len(genes) == 0:
        return float("nan")
    return float(np.mean(np.sign(real.change[genes]) == np.sign(predicted.change[genes])))


@metric(_count("n_de_real", "real"))
def n_de_real(real: Response, predicted: Response) -> float:
    """Count the real DE genes."""
    return len(real.de_genes)


@metric(_count("n_de_predicted", "predicted"))
def n_de_predicted(real: Response, predicted: Response) -> float:
    """Count the predicted DE genes; it grows with the number of predicted cells."""
    return len(predicted.de_genes)
