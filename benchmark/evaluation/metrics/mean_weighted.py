"""Metrics of the mean in which a gene counts as much as the real perturbation moves it.

Most genes do not change, so an error averaged over all genes says mostly how well "no change" was predicted.
Weights by the test statistic of the real cells follow "Diversity by Design" (arXiv 2506.22641, the package
cellsimbench). Theirs compares a perturbation with the other perturbed cells; this one compares it with the
control cells, because then the weights do not depend on what else is in the data set. The price is that genes
which every perturbation moves count too.
"""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.spec import MetricSpec, metric

WEIGHTS = (
    "w = ((|t| - min |t|) / (max |t| - min |t|))^2 divided by its sum, t = Welch's t of the real perturbed "
    "against the real control cells, 0 where neither side varies (cellsimbench: the t-test of scanpy "
    "with overestimated variance against the other perturbed cells)"
)
GENES = "all genes, weighted; the one that moves least has the weight 0"
NO_WEIGHTS = "|t| is equal in all genes"


@metric(
    MetricSpec(
        name="weighted_mse",
        version="1",
        family="expression",
        formula=f"sum over genes of w (predicted mean - real mean)^2, means of log1p values, {WEIGHTS}",
        range=(0.0, float("inf")),
        higher_is_better=False,
        gene_set=GENES,
        reference="none; the real control cells give the weights",
        nan_means=NO_WEIGHTS,
    )
)
def weighted_mse(real: Response, predicted: Response) -> float:
    """Squared error of the means, mostly of the genes that really move."""
    return float(_weights(real) @ (predicted.mean - real.mean) ** 2)


@metric(
    MetricSpec(
        name="weighted_r2",
        version="1",
        family="expression",
        formula="1 - sum w (predicted mean - real mean)^2 / sum w (d - sum w d)^2, d = real mean - mean over "
        f"the training perturbations of theirs, means of log1p values, {WEIGHTS}",
        range=(float("-inf"), 1.0),
        higher_is_better=True,
        gene_set=GENES,
        reference="the mean over training perturbations, each counted once, of their mean expression; the "
        "real control cells give the weights",
        nan_means=f"the training perturbations are not known, {NO_WEIGHTS}, or d is equal in all genes of "
        "weight above 0",
    )
)
def weighted_r2(real: Response, predicted: Response) -> float:
    """Share of the weighted variance of the change from the training perturbations that is explained."""
    centroid = real.reference.centroid
    if centroid is None:
        return float("nan")
    weights, change = _weights(real), real.mean - centroid
    spread = weights @ (change - weights @ change) ** 2
    return 1 - weighted_mse(real, predicted) / float(spread) if spread > 0 else float("nan")


def _weights(real: Response) -> np.ndarray:
    """How much each gene counts: sums to 1; NaN where no gene moves more than another."""
    control = real.reference.control
    error = np.sqrt(real.variance / real.n_cells + control.variance / control.n_cells)
    t = np.divide(np.abs(real.change), error, out=np.zeros_like(error), where=error > 0)
    span = np.ptp(t)
    if span == 0:
        return np.full_like(t, np.nan)
    weights = ((t - t.min()) / span) ** 2
    return weights / weights.sum()
