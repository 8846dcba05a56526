"""Metrics of the mean over cells: squared error of the means, correlation of their changes."""

from __future__ import annotations

import numpy as np

from benchmark.metrics.response import Response
from benchmark.metrics.spec import MetricSpec, metric

TOP = 20
TOP_GENES = f"the {TOP} real DE genes of largest |log2 fold change|, or all where there are fewer"


@metric(
    MetricSpec(
        name="mse",
        version="1",
        family="expression",
        formula="mean over genes of (predicted mean - real mean)^2, means over cells of log1p values",
        range=(0.0, float("inf")),
        higher_is_better=False,
        gene_set="all genes",
        reference="none",
        nan_means="never NaN",
        headline=True,
    )
)
def mse(real: Response, predicted: Response) -> float:
    """Squared error of the mean expression; the noise of a mean of few cells counts in it."""
    return _mse(real.mean, predicted.mean)


@metric(
    MetricSpec(
        name="pearson",
        version="1",
        family="expression",
        formula="Pearson correlation over genes of predicted and real change, change = mean of log1p values "
        "minus that of the control cells; cell-eval's pearson_delta with one set of controls",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set="all genes",
        reference="the real control cells, for both sides",
        nan_means="fewer than 2 genes, or a real change equal in all genes; a predicted change equal in all "
        "genes scores 0, because it says nothing about any gene and dropping it would reward it",
        headline=True,
    )
)
def pearson(real: Response, predicted: Response) -> float:
    """Correlation of the changes from control."""
    return _correlation(real.change, predicted.change)


@metric(
    MetricSpec(
        name="mse_top20",
        version="1",
        family="expression",
        formula="as mse over fewer genes",
        range=(0.0, float("inf")),
        higher_is_better=False,
        gene_set=TOP_GENES,
        reference="none; the real control cells choose the genes",
        nan_means="no real DE gene",
    )
)
def mse_top20(real: Response, predicted: Response) -> float:
    """Squared error of the mean expression of the strongest real DE genes."""
    genes = real.de_genes[:TOP]
    return _mse(real.mean[genes], predicted.mean[genes]) if len(genes) else float("nan")


@metric(
    MetricSpec(
        name="pearson_top20",
        version="1",
        family="expression",
        formula="as pearson over fewer genes",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set=TOP_GENES,
        reference="the real control cells, for both sides",
        nan_means="fewer than 2 real DE genes, or their real change is equal; an equal predicted change "
        "scores 0",
    )
)
def pearson_top20(real: Response, predicted: Response) -> float:
    """Correlation of the changes of the strongest real DE genes."""
    genes = real.de_genes[:TOP]
    return _correlation(real.change[genes], predicted.change[genes])


def _mse(real: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean((predicted - real) ** 2))


def _correlation(real: np.ndarray, predicted: np.ndarray) -> float:
    if len(real) < 2 or np.ptp(real) == 0:
        return float("nan")
    if np.ptp(predicted) == 0:
        return 0.0
    x, y = real - real.mean(), predicted - predicted.mean()
    return float(np.clip(x / np.linalg.norm(x) @ (y / np.linalg.norm(y)), -1.0, 1.0))
