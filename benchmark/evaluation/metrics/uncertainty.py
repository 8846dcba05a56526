"""Metrics of uncertainty: how well the spread of the predicted cells says how far off their mean is.

The predicted cells imply an interval for the mean of as many cells as there are real ones (the prediction
interval of a future mean: Hahn and Meeker, "Statistical Intervals", 1991, in its normal approximation): per
gene predicted mean +- z * sqrt(v / n_predicted + v / n_real), v = variance of the predicted cells.
Both terms under the root are sampling noise: the interval knows nothing of what was learned wrongly.

A method is perfectly calibrated where its mean and its spread are right, as if its cells were drawn from
the distribution of the real ones: then a share p of the real means is expected inside the intervals of the
nominal level p. Cells that vary too little, or a mean that is off by more than the noise, give a coverage
below it; cells that vary too much, one above it. So does a copy of the real cells: it covers everything,
because it is nearer than an independent draw could be.

To methods that predict means (``predicts = "mean"``) these metrics do not apply. All predicted rows count
as independent cells, so a method that repeats a row for each sample of a control cell gets intervals that
are too narrow.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.spec import MetricSpec, metric

NOMINAL = np.arange(1, 10) / 10
"""The levels over which the calibration error is averaged."""

GENES = "genes that are expressed in any real or predicted cell"
INTERVAL = (
    "predicted mean +- z * sqrt(v / n_predicted + v / n_real), v = variance (n - 1) of the predicted cells, "
    "n = numbers of cells, means of log1p values"
)
NAN_MEANS = "no gene is expressed on either side"


def _declare_coverage(percent: int) -> None:
    level = np.array([percent / 100])

    @metric(
        MetricSpec(
            name=f"interval_coverage_{percent}",
            version="1",
            family="uncertainty",
            formula=f"share of genes whose real mean lies in {INTERVAL}, z = {_z(level[0]):.4f}; "
            f"calibrated predictions score {percent / 100:g}",
            range=(0.0, 1.0),
            higher_is_better=None,
            gene_set=GENES,
            reference="none",
            nan_means=NAN_MEANS,
            reads="cells",
            needs="cells",
        )
    )
    def interval_coverage(real: Response, predicted: Response) -> float:
        return float(_coverage(real, predicted, level)[0])


def _coverage(real: Response, predicted: Response, levels: np.ndarray) -> np.ndarray:
    """Share of the expressed genes whose real mean is inside, for each nominal level."""
    expressed = (real.mean > 0) | (predicted.mean > 0)
    if not expressed.any():
        return np.full(len(levels), np.nan)
    distance = np.abs(real.mean - predicted.mean)[expressed]
    error = np.sqrt(predicted.variance * (1 / predicted.n_cells + 1 / real.n_cells))[expressed]
    return np.array([np.mean(distance <= _z(level) * error) for level in levels])


def _z(level: float) -> float:
    """How many standard deviations around its mean hold this share of a normal distribution."""
    return NormalDist().inv_cdf((1 + level) / 2)


for _percent in (50, 95):
    _declare_coverage(_percent)


@metric(
    MetricSpec(
        name="calibration_error",
        version="1",
        family="uncertainty",
        formula="mean over the nominal levels p = 10 %, 20 %, ... 90 % of |coverage(p) - p|, coverage(p) = "
        f"share of genes whose real mean lies in {INTERVAL}, z = normal quantile of (1 + p) / 2; "
        "the calibration error of Kuleshov et al. (ICML 2018) with absolute differences",
        range=(0.0, 0.5),
        higher_is_better=False,
        gene_set=GENES,
        reference="none",
        nan_means=NAN_MEANS,
        reads="cells",
        needs="cells",
    )
)
def calibration_error(real: Response, predicted: Response) -> float:
    """Distance of the coverage from its nominal level; 0.5 where all genes or none are always covered."""
    return float(np.mean(np.abs(_coverage(real, predicted, NOMINAL) - NOMINAL)))
