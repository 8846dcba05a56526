"""Metrics of the change against the mean of the training perturbations, instead of against control.

Perturbed cells of a screen differ from its control cells in ways that all of them share: they were selected
and stressed alike. A prediction that knows no more than this common shift correlates well with every change
from control. Measured against the mean of all training perturbations the common shift is gone, and what is
left is what sets one perturbation apart (Systema, Nature Biotechnology 2025).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmark.evaluation.metrics.agreement import correlation, cosine
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.spec import MetricSpec, metric

CENTROID = "the mean over training perturbations, each counted once, of their mean expression, for both sides"
CHANGE = "change = mean of log1p values minus the mean over the training perturbations of theirs"
UNKNOWN = "the training perturbations are not known"


@metric(
    MetricSpec(
        name="pearson_centroid",
        version="1",
        family="expression",
        formula=f"Pearson correlation over genes of predicted and real change, {CHANGE}; Systema's reference",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set="all genes",
        reference=CENTROID,
        nan_means=f"{UNKNOWN}, fewer than 2 genes, or a real change equal in all genes; a predicted change "
        "equal in all genes scores 0, because it says nothing about any gene and dropping it would reward it",
    )
)
def pearson_centroid(real: Response, predicted: Response) -> float:
    """Correlation of the changes from the training perturbations; about 0 for the train mean."""
    return _of_changes(correlation, real, predicted)


@metric(
    MetricSpec(
        name="cosine_centroid",
        version="1",
        family="expression",
        formula=f"cosine over genes of predicted and real change, {CHANGE}; Systema's reference",
        range=(-1.0, 1.0),
        higher_is_better=True,
        gene_set="all genes",
        reference=CENTROID,
        nan_means=f"{UNKNOWN}, or no real change in any gene; no predicted change in any gene scores 0, "
        "because it says nothing about any gene and dropping it would reward it",
    )
)
def cosine_centroid(real: Response, predicted: Response) -> float:
    """Cosine of the changes from the training perturbations."""
    return _of_changes(cosine, real, predicted)


def _of_changes(
    agreement: Callable[[np.ndarray, np.ndarray], float], real: Response, predicted: Response
) -> float:
    centroid = real.reference.centroid
    if centroid is None:
        return float("nan")
    return agreement(real.mean - centroid, predicted.mean - centroid)
