"""Metrics of a rank: whether a predicted response is nearer to its own real one than to the others.

They depend on which perturbations are scored together. Whoever predicts the same for all is right about each
one as often as chance: the ranks of the real responses around one and the same point are 0, 1, ..., n - 1,
so the mean over the panel is exactly 0.5.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from benchmark.evaluation.metrics.response import Panel
from benchmark.evaluation.metrics.spec import CONTROL_CELLS, MetricSpec, panel_metric

Distance = Literal["cityblock", "euclidean", "cosine"]

RANK = (
    "1 - r / (n - 1), r = number of the other real {what} that are nearer to the predicted one than its own "
    "is, half of those as near, n = number of perturbations scored together"
)
ALONE = "a single perturbation is scored"


def _discrimination(name: str, distance: str, nan_means: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="1",
        family="rank",
        formula=f"{RANK.format(what='changes')}, {distance}, change = mean of log1p values minus that of the "
        "control cells; where both sides hold counts, of ln(1 + 5e4 x share of the group's counts) minus "
        f"that of the control cells; cell-eval2's {name}, also for doubles; cell-eval's "
        f"discrimination_score_{name.removeprefix('pds_')} divides r by n, breaks ties by order and leaves "
        "out the own target of single perturbations alone; one guess for all scores 0.5 on average",
        range=(0.0, 1.0),
        higher_is_better=True,
        gene_set="all genes but the targets of any perturbation scored",
        reference=CONTROL_CELLS,
        nan_means=nan_means,
        of_counts=True,
    )


NO_GENE = f"{ALONE}, or every gene is a target"


@panel_metric(_discrimination("pds_l1", "distance = sum of |differences|", NO_GENE))
def pds_l1(panel: Panel) -> np.ndarray:
    """Rank of the own real change by absolute distance."""
    return _rank_score(*_without_targets(panel), "cityblock")


@panel_metric(_discrimination("pds_l2", "Euclidean distance", NO_GENE))
def pds_l2(panel: Panel) -> np.ndarray:
    """Rank of the own real change by Euclidean distance."""
    return _rank_score(*_without_targets(panel), "euclidean")


@panel_metric(
    _discrimination(
        "pds_cosine",
        "distance = 1 - cosine",
        f"{NO_GENE}; no change in any gene has the distance 1 to everything, so such a guess scores 0.5",
    )
)
def pds_cosine(panel: Panel) -> np.ndarray:
    """Rank of the own real change by angle, whatever the strength of the prediction."""
    return _rank_score(*_without_targets(panel), "cosine")


@panel_metric(
    MetricSpec(
        name="centroid_accuracy",
        version="1",
        family="rank",
        formula=f"{RANK.format(what='means')}, Euclidean distance of means of log1p values; Systema (Nature "
        "Biotechnology 2025); it is pds_l2 with the targets left in, so whoever knows how targets react and "
        "nothing else scores well",
        range=(0.0, 1.0),
        higher_is_better=True,
        gene_set="all genes",
        reference="none",
        nan_means=ALONE,
    )
)
def centroid_accuracy(panel: Panel) -> np.ndarray:
    """Share of the other real means that are farther from the predicted one than its own."""
    # Both sides have the control mean subtracted, which leaves every distance as it is.
    return _rank_score(panel.real, panel.predicted, "euclidean")


def _without_targets(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    targets = panel.reference.targets(panel.labels)
    return np.delete(panel.real, targets, axis=1), np.delete(panel.predicted, targets, axis=1)


def _rank_score(real: np.ndarray, predicted: np.ndarray, distance: Distance) -> np.ndarray:
    """How few of the rows of `real` are nearer to each row of `predicted` than the one of the same index."""
    n, n_genes = real.shape
    if n < 2 or n_genes == 0:
        return np.full(n, np.nan)
    from scipy.spatial.distance import cdist

    apart = np.nan_to_num(cdist(predicted, real, distance), nan=1.0)  # NaN: the cosine of no change
    own = np.diag(apart)[:, None]
    nearer = np.sum(apart < own, axis=1) + (np.sum(apart == own, axis=1) - 1) / 2
    return 1 - nearer / (n - 1)
