"""Metrics of the mean over few genes: those that change most, and those that are expressed most."""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.metrics.agreement import correlation, cosine, mean_square
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.spec import CONTROL_CELLS, MetricSpec, metric

TOP = 20
TOP_GENES = f"the {TOP} real DE genes of largest |log2 fold change|, or all where there are fewer"
EXPRESSED = 1000
EXPRESSED_GENES = (
    f"the {EXPRESSED} genes of highest mean log1p value in the control cells, or all where there are fewer "
    "(Ahlmann-Eltze et al., Nature Methods 2025)"
)
CHOOSE_GENES = "none; the real control cells choose the genes"


def _error(base: str, suffix: str, gene_set: str, nan_means: str) -> MetricSpec:
    return MetricSpec(
        name=f"{base}_{suffix}",
        version="1",
        family="expression",
        formula=f"as {base} over fewer genes",
        range=(0.0, float("inf")),
        higher_is_better=False,
        gene_set=gene_set,
        reference=CHOOSE_GENES,
        nan_means=nan_means,
    )


def _agreement(base: str, suffix: str, gene_set: str, nan_means: str) -> MetricSpec:
    return MetricSpec(
        name=f"{base}_{suffix}",
        version="1",
        family="expression",
        formula=f"as {base} over fewer genes",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set=gene_set,
        reference=CONTROL_CELLS,
        nan_means=nan_means,
    )


@metric(_error("mse", "top20", TOP_GENES, "no real DE gene"))
def mse_top20(real: Response, predicted: Response) -> float:
    """Squared error of the mean expression of the strongest real DE genes."""
    genes = real.de_genes[:TOP]
    return mean_square(real.mean[genes], predicted.mean[genes])


@metric(
    _agreement(
        "pearson",
        "top20",
        TOP_GENES,
        "fewer than 2 real DE genes, or their real change is equal; an equal predicted change scores 0",
    )
)
def pearson_top20(real: Response, predicted: Response) -> float:
    """Correlation of the changes of the strongest real DE genes."""
    genes = real.de_genes[:TOP]
    return correlation(real.change[genes], predicted.change[genes])


@metric(
    _agreement(
        "cosine",
        "top20",
        TOP_GENES,
        "no real DE gene, or none whose mean changes; no predicted change in any of them scores 0",
    )
)
def cosine_top20(real: Response, predicted: Response) -> float:
    """Cosine of the changes of the strongest real DE genes."""
    genes = real.de_genes[:TOP]
    return cosine(real.change[genes], predicted.change[genes])


@metric(_error("mse", "top1000", EXPRESSED_GENES, "never NaN"))
def mse_top1000(real: Response, predicted: Response) -> float:
    """Squared error of the mean expression of the genes that are expressed most."""
    genes = most_expressed(real.reference.control.mean)
    return mean_square(real.mean[genes], predicted.mean[genes])


@metric(_error("l2", "top1000", EXPRESSED_GENES, "never NaN"))
def l2_top1000(real: Response, predicted: Response) -> float:
    """Euclidean distance of the means of the genes that are expressed most."""
    genes = most_expressed(real.reference.control.mean)
    return float(np.linalg.norm(predicted.mean[genes] - real.mean[genes]))


@metric(
    _agreement(
        "pearson",
        "top1000",
        EXPRESSED_GENES,
        "fewer than 2 genes, or their real change is equal; an equal predicted change scores 0",
    )
)
def pearson_top1000(real: Response, predicted: Response) -> float:
    """Correlation of the changes of the genes that are expressed most."""
    genes = most_expressed(real.reference.control.mean)
    return correlation(real.change[genes], predicted.change[genes])


def most_expressed(control_mean: np.ndarray) -> np.ndarray:
    """Columns of the genes that control cells express most, in descending order; ties keep gene order."""
    return np.argsort(-control_mean, kind="stable")[:EXPRESSED]
