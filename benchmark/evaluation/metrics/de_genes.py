"""Metrics of which genes are differentially expressed, and in which direction.

Without a real DE gene they are NaN whatever is predicted, so that they are taken over the same perturbations
for every method; `n_de_predicted` shows who calls genes DE where there are none. (cell-eval writes 0.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmark.evaluation.metrics.calls import AS_MANY, Calls, calls
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.spec import CONTROL_CELLS, MetricSpec, metric

UNDEFINED = "no real DE gene (cell-eval writes 0); no predicted DE gene scores 0"
LIMITS = (20, 50, 100, 200, 500)


def _count(name: str, formula: str, nan_means: str, *aliases: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="2",
        family="DE",
        formula=f"{formula} (Wilcoxon, FDR < 0.05)",
        range=(0.0, float("inf")),
        higher_is_better=None,
        gene_set="all genes",
        reference=CONTROL_CELLS,
        nan_means=nan_means,
        reads="cells",
        aliases=aliases,
    )


def _shared(name: str, formula: str, gene_set: str, *aliases: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="2",
        family="DE",
        formula=f"{formula}; {AS_MANY}",
        range=(0.0, 1.0),
        higher_is_better=True,
        gene_set=gene_set,
        reference=CONTROL_CELLS,
        nan_means=UNDEFINED,
        reads="cells",
        aliases=aliases,
    )


@metric(
    _shared(
        "de_overlap",
        "|first k real DE genes & first k predicted DE genes| / k, DE genes (Wilcoxon, FDR < 0.05) "
        "by descending |log2 fold change of mean counts|, k = number of real DE genes; "
        "cell-eval's overlap_at_N, which ratios geometric means by default",
        "DE genes of each side",
        "de_wilcoxon_overlap",
    )
)
def de_overlap(real: Response, predicted: Response) -> float:
    """Share of the real DE genes that are among as many of the strongest predicted DE genes."""
    return _of_first(real, predicted, lambda found: len(found.real))


def _declare_overlap_at(limit: int) -> None:
    @metric(
        _shared(
            f"de_overlap_{limit}",
            f"as de_overlap with k = min({limit}, number of real DE genes); "
            "cell-eval's overlap metric with that k",
            f"at most {limit} DE genes of each side",
            *_top("overlap", limit),
        )
    )
    def overlap_at(real: Response, predicted: Response) -> float:
        return _of_first(real, predicted, lambda found: min(limit, len(found.real)))


def _declare_precision_at(limit: int) -> None:
    @metric(
        _shared(
            f"de_precision_{limit}",
            f"as de_overlap with k = min({limit}, number of predicted DE genes); "
            "cell-eval's precision metric with that k",
            f"at most {limit} DE genes of each side",
            *_top("precision", limit),
        )
    )
    def precision_at(real: Response, predicted: Response) -> float:
        return _of_first(real, predicted, lambda found: min(limit, len(found.predicted)))


def _top(what: str, limit: int) -> tuple[str, ...]:
    """What cell-eval2 calls it, which has none at 20."""
    return (f"de_wilcoxon_{what}_top{limit}",) if limit >= 50 else ()


for _limit in LIMITS:
    _declare_overlap_at(_limit)
for _limit in LIMITS:
    _declare_precision_at(_limit)


@metric(
    _shared(
        "de_precision",
        "|R & P| / |P|, R = real, P = predicted DE genes (Wilcoxon, FDR < 0.05); cell-eval's precision_at_N "
        "counts only the first |P| of R and is less where fewer genes are predicted than are real",
        "DE genes of each side",
    )
)
def de_precision(real: Response, predicted: Response) -> float:
    """Share of the predicted DE genes that are real ones; few sure guesses score well."""
    found = calls(real, predicted)
    return _share(found, _n_common(found), len(found.predicted))


@metric(
    _shared(
        "de_recall",
        "|R & P| / |R|, R = real, P = predicted DE genes (Wilcoxon, FDR < 0.05); cell-eval's "
        "de_sig_genes_recall",
        "DE genes of each side",
        "de_wilcoxon_sig_recall",
    )
)
def de_recall(real: Response, predicted: Response) -> float:
    """Share of the real DE genes that are predicted; whoever calls every gene DE scores 1."""
    found = calls(real, predicted)
    return _share(found, _n_common(found), len(found.real))


@metric(
    _shared(
        "de_jaccard",
        "|R & P| / |R or P|, R = real, P = predicted DE genes (Wilcoxon, FDR < 0.05); "
        "de_wilcoxon_sig_jaccard leaves targets out and tests all cells",
        "DE genes of each side",
    )
)
def de_jaccard(real: Response, predicted: Response) -> float:
    """Share of the DE genes of either side that are those of both; neither few nor many guesses pay."""
    found = calls(real, predicted)
    return _share(found, _n_common(found), len(np.union1d(found.real, found.predicted)))


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
    )
)
def direction(real: Response, predicted: Response) -> float:
    """Share of the real DE genes whose predicted change has the real sign."""
    genes = real.de_genes
    if not len(genes):
        return float("nan")
    return float(np.mean(np.sign(real.change[genes]) == np.sign(predicted.change[genes])))


@metric(
    _count(
        "n_de_real",
        "number of real DE genes, all real cells tested",
        "never NaN",
        "de_wilcoxon_nsig_counts_real",
    )
)
def n_de_real(real: Response, predicted: Response) -> float:
    """Count the real DE genes."""
    return len(real.de_genes)


@metric(
    _count(
        "n_de_predicted",
        f"number of predicted DE genes, {AS_MANY}",
        "never NaN",
        "de_wilcoxon_nsig_counts_pred",
    )
)
def n_de_predicted(real: Response, predicted: Response) -> float:
    """Count the predicted DE genes."""
    return len(calls(real, predicted).predicted)


@metric(
    _count(
        "n_de_ratio", f"number of predicted DE genes / number of real DE genes, {AS_MANY}", "no real DE gene"
    )
)
def n_de_ratio(real: Response, predicted: Response) -> float:
    """Predicted DE genes for each real one."""
    found = calls(real, predicted)
    return _share(found, len(found.predicted), len(found.real))


def _of_first(real: Response, predicted: Response, limit: Callable[[Calls], int]) -> float:
    """Share of k that the first k DE genes of the two sides have in common."""
    found = calls(real, predicted)
    k = limit(found)
    return _share(found, len(np.intersect1d(found.real[:k], found.predicted[:k])), k)


def _share(found: Calls, part: float, whole: int) -> float:
    """Ratio of two counts, 0 of nothing; NaN without a real DE gene."""
    if len(found.real) == 0:
        return float("nan")
    return float(part / whole) if whole else 0.0


def _n_common(found: Calls) -> int:
    return len(np.intersect1d(found.real, found.predicted))
