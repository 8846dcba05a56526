"""Metrics of the mean over cells, over all genes: errors of the means, agreement of their changes."""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.metrics.agreement import correlation, cosine, mean_square
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.spec import CONTROL_CELLS, MetricSpec, metric


def _error(name: str, formula: str, *aliases: str, headline: bool = False) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="1",
        family="expression",
        formula=f"{formula}, means over cells of log1p values",
        range=(0.0, float("inf")),
        higher_is_better=False,
        gene_set="all genes",
        reference="none",
        nan_means="never NaN",
        headline=headline,
        aliases=aliases,
    )


@metric(
    _error("mse", "mean over genes of (predicted mean - real mean)^2", "expr_mse", "delta_mse", headline=True)
)
def mse(real: Response, predicted: Response) -> float:
    """Squared error of the mean expression; the noise of a mean of few cells counts in it."""
    return mean_square(real.mean, predicted.mean)


@metric(_error("mae", "mean over genes of |predicted mean - real mean|", "expr_mae", "delta_mae"))
def mae(real: Response, predicted: Response) -> float:
    """Absolute error of the mean expression; less ruled by the few genes that change most than `mse`."""
    return float(np.mean(np.abs(predicted.mean - real.mean)))


@metric(_error("rmse", "square root of mse"))
def rmse(real: Response, predicted: Response) -> float:
    """Root of the squared error; its mean over perturbations weighs the badly predicted ones less."""
    return float(np.sqrt(mse(real, predicted)))


@metric(_error("l2", "square root of the sum over genes of (predicted mean - real mean)^2"))
def l2(real: Response, predicted: Response) -> float:
    """Euclidean distance of the means; comparable only between panels of as many genes."""
    return float(np.linalg.norm(predicted.mean - real.mean))


@metric(
    MetricSpec(
        name="mse_unbiased",
        version="2",
        family="expression",
        formula="mse - v / n, v = mean over genes of the variance (n - 1) of the log1p values of the n real "
        "cells: what the sampling noise of the real mean adds on average (the delete-one jackknife of mse, "
        "Quenouille 1956, over the real cells)",
        range=(-float("inf"), float("inf")),
        higher_is_better=False,
        gene_set="all genes",
        reference="none",
        nan_means="never NaN; below 0 where the means differ by less than their noise, so that the mean over "
        "perturbations is right",
        perfect=0.0,
    )
)
def mse_unbiased(real: Response, predicted: Response) -> float:
    """Squared error of the mean without the noise of the real one.

    What the predicted mean is off, for whatever reason, is an error of the prediction: noise of too few drawn
    cells as well, which whoever draws them can have as small as is wanted.
    """
    return mse(real, predicted) - float(real.variance.mean() / real.n_cells)


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
        reference=CONTROL_CELLS,
        nan_means="fewer than 2 genes, or a real change equal in all genes; a predicted change equal in all "
        "genes scores 0, because it says nothing about any gene and dropping it would reward it",
        headline=True,
        aliases=("delta_pearson",),
    )
)
def pearson(real: Response, predicted: Response) -> float:
    """Correlation of the changes from control."""
    return correlation(real.change, predicted.change)


@metric(
    MetricSpec(
        name="cosine",
        version="1",
        family="expression",
        formula="cosine over genes of predicted and real change, change = mean of log1p values minus that of "
        "the control cells",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set="all genes",
        reference=CONTROL_CELLS,
        nan_means="no real change in any gene; no predicted change in any gene scores 0, because it says "
        "nothing about any gene and dropping it would reward it",
    )
)
def cosine_of_changes(real: Response, predicted: Response) -> float:
    """Cosine of the changes from control; unlike the correlation it sees a shift common to all genes."""
    return cosine(real.change, predicted.change)
