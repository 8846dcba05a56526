"""cell-eval2's metrics of which genes are called, and by how much they change, without as many cells of both.

Each compares the tests of all cells of the two sides, so that whoever predicts more cells calls more genes;
the metrics of `de_genes` and `de_ranking`, which methods are looked at by here, test as many of both.
"""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.metrics.agreement import correlation
from benchmark.evaluation.metrics.ordered import average_ranks
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.spec import CONTROL_CELLS, MetricSpec, metric
from benchmark.evaluation.metrics.verdicts import (
    FEWEST_GENES,
    Verdicts,
    verdicts,
    verdicts_without_targets,
)

TABLE = "R = real, P = predicted DE genes (Wilcoxon, FDR < 0.05, all cells of each side)"
LFC = "fold changes: log2 of the ratio of mean counts + 1e-9"
TOO_FEW = f"fewer than {FEWEST_GENES} real DE genes"
NOT_ALL = f"{TOO_FEW}, or all genes are"
ALL_CHANCE = "; 0 is chance; -1 where no gene is predicted, or all are"


def _spec(
    name: str,
    formula: str,
    nan_means: str,
    gene_set: str = "all genes",
    range: tuple[float, float] = (0.0, 1.0),
    higher_is_better: bool = True,
) -> MetricSpec:
    return MetricSpec(
        name=f"de_wilcoxon_{name}",
        version="1",
        family="DE",
        formula=f"{formula}; {TABLE}; cell-eval2 0.20",
        range=range,
        higher_is_better=higher_is_better,
        gene_set=gene_set,
        reference=CONTROL_CELLS,
        nan_means=nan_means,
        reads="cells",
        of_counts=True,
    )


@metric(
    _spec(
        "sig_jaccard",
        "|R & P| / |R or P|, 1 where neither side calls a gene; de_jaccard leaves such a perturbation out, "
        "keeps targets and tests as many cells of both; one of the six of the Virtual Cell Challenge 2026",
        "never NaN",
        "DE genes but the targets of the perturbation",
    )
)
def sig_jaccard(real: Response, predicted: Response) -> float:
    """Share of the genes that either side calls which both call."""
    of = verdicts_without_targets(real, predicted)
    either = int((of.real | of.predicted).sum())
    return int((of.real & of.predicted).sum()) / either if either else 1.0


@metric(
    _spec(
        "lfc_nmae",
        f"sum |predicted - real fold change| / sum |real fold change|, over R; {LFC}; no change scores 1; "
        "one of the six of the Virtual Cell Challenge 2026",
        f"{TOO_FEW}, targets not counted, or their fold changes are all 0",
        "real DE genes but the targets of the perturbation",
        (0.0, float("inf")),
        higher_is_better=False,
    )
)
def lfc_nmae(real: Response, predicted: Response) -> float:
    """Absolute error of the fold changes of the real DE genes, for each unit that they change."""
    genes = verdicts_without_targets(real, predicted).real
    whole = float(np.abs(real.log2_fold_change[genes]).sum())
    if genes.sum() < FEWEST_GENES or whole == 0:
        return float("nan")
    return float(np.abs(predicted.log2_fold_change[genes] - real.log2_fold_change[genes]).sum()) / whole


@metric(
    _spec(
        "direction_match",
        f"share of R whose predicted fold change has the real sign; {LFC}; direction compares changes of "
        "mean log values",
        TOO_FEW,
        "real DE genes",
    )
)
def direction_match(real: Response, predicted: Response) -> float:
    """Share of the real DE genes whose predicted fold change has the real sign."""
    genes = verdicts(real, predicted).real
    return _same_sign(real, predicted, genes) if genes.sum() >= FEWEST_GENES else float("nan")


@metric(
    _spec(
        "model_direction_match",
        f"share of P whose real fold change has the predicted sign, 0 where no gene is predicted; {LFC}; two "
        "fold changes of 0 agree",
        f"fewer than {FEWEST_GENES} genes are tested",
        "predicted DE genes",
    )
)
def model_direction_match(real: Response, predicted: Response) -> float:
    """Share of the predicted DE genes whose real fold change has the predicted sign."""
    of = verdicts(real, predicted)
    if of.counted.sum() < FEWEST_GENES:
        return float("nan")
    return _same_sign(real, predicted, of.predicted) if of.predicted.any() else 0.0


@metric(
    _spec(
        "lfc_spearman_pos",
        f"Spearman correlation of predicted and real fold changes of the genes of R that rise; {LFC}; -1 "
        "where the predicted ones are equal",
        f"{TOO_FEW} that rise, or their fold changes are equal",
        "rising real DE genes",
        (-1.0, 1.0),
    )
)
def lfc_spearman_pos(real: Response, predicted: Response) -> float:
    """Rank correlation of the fold changes of the real DE genes that rise."""
    return _spearman(real, predicted, real.log2_fold_change > 0)


@metric(
    _spec(
        "lfc_spearman_neg",
        f"Spearman correlation of predicted and real fold changes of the genes of R that fall; {LFC}; -1 "
        "where the predicted ones are equal",
        f"{TOO_FEW} that fall, or their fold changes are equal",
        "falling real DE genes",
        (-1.0, 1.0),
    )
)
def lfc_spearman_neg(real: Response, predicted: Response) -> float:
    """Rank correlation of the fold changes of the real DE genes that fall."""
    return _spearman(real, predicted, real.log2_fold_change < 0)


@metric(
    _spec(
        "overlap_adjusted",
        "Matthews correlation of belonging to R and to the first |R| genes of P by |fold change|; "
        f"{LFC}{ALL_CHANCE}",
        NOT_ALL,
        range=(-1.0, 1.0),
    )
)
def overlap_adjusted(real: Response, predicted: Response) -> float:
    """Overlap with as many of the strongest predicted DE genes, less what chance gives."""
    of = verdicts(real, predicted)
    if not _has_both(of):
        return float("nan")
    first = np.zeros(len(of.counted), dtype=bool)
    first[predicted.strongest(of.predicted)[: of.n_real]] = True
    return _matthews(of.real, first, of.counted)


@metric(
    _spec(
        "precision_adjusted",
        f"markedness: |R & P| / |P| - |R - P| / |not P|{ALL_CHANCE}",
        "never NaN",
        range=(-1.0, 1.0),
    )
)
def precision_adjusted(real: Response, predicted: Response) -> float:
    """Share of the called genes that are real ones, less that of the genes that are not called."""
    of = verdicts(real, predicted)
    return _difference(of.real, of.predicted, of.counted)


@metric(
    _spec(
        "sig_recall_adjusted",
        "informedness (Youden's J): |R & P| / |R| - |P - R| / |not R|; 0 is chance",
        NOT_ALL,
        range=(-1.0, 1.0),
    )
)
def sig_recall_adjusted(real: Response, predicted: Response) -> float:
    """Share of the real DE genes that are called, less that of the others."""
    of = verdicts(real, predicted)
    return _difference(of.predicted, of.real, of.counted) if _has_both(of) else float("nan")


@metric(
    _spec(
        "sig_mcc",
        f"Matthews correlation of belonging to R and to P{ALL_CHANCE}",
        NOT_ALL,
        range=(-1.0, 1.0),
    )
)
def sig_mcc(real: Response, predicted: Response) -> float:
    """Correlation of what the two sides call."""
    of = verdicts(real, predicted)
    return _matthews(of.real, of.predicted, of.counted) if _has_both(of) else float("nan")


def _has_both(of: Verdicts) -> bool:
    """Whether there are enough real DE genes, and others."""
    return FEWEST_GENES <= of.n_real < of.counted.sum()


def _same_sign(real: Response, predicted: Response, genes: np.ndarray) -> float:
    signs = (np.sign(side.log2_fold_change[genes]) for side in (real, predicted))
    return float(np.mean(np.equal(*signs)))


def _spearman(real: Response, predicted: Response, of_direction: np.ndarray) -> float:
    genes = verdicts(real, predicted).real & of_direction
    truth, guess = (side.log2_fold_change[genes] for side in (real, predicted))
    if len(truth) < FEWEST_GENES or np.ptp(truth) == 0:
        return float("nan")
    return correlation(average_ranks(truth), average_ranks(guess)) if np.ptp(guess) else -1.0


def _difference(what: np.ndarray, inside: np.ndarray, counted: np.ndarray) -> float:
    """Share of a set that has a property, less that of the other genes; -1 where there is no such set."""
    outside = counted & ~inside
    if not inside.any() or not outside.any():
        return -1.0
    return float(what[inside].mean() - what[outside].mean())


def _matthews(one: np.ndarray, other: np.ndarray, counted: np.ndarray) -> float:
    """Matthews correlation of belonging to two sets; -1 where one of them is empty, or all."""
    a, b, n = (int(genes.sum()) for genes in (one, other, counted))
    if not 0 < a < n or not 0 < b < n:
        return -1.0
    both = int((one & other).sum())
    return float((both * n - a * b) / (a * b * (n - a) * (n - b)) ** 0.5)
