"""What each metric can tell on the test perturbations of one split, measured with predictions that are known.

Three of these are at hand on any data: the train mean, which knows the data and not the question; the bound
that a board scales to, the limit for metrics that read means and the replicate ceiling for those that read
cells; and the interpolated duplicate between them, a positive control: a draw of the true mean, as the limit
has it, half way to the control cells, and control cells that were moved there. It knows which genes change,
and understates it. A metric that puts it no higher than the train mean rewards something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from benchmark.data import Dataset
from benchmark.data.blocks import LazyCells
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.metrics.differential import differential_expression
from benchmark.evaluation.metrics.evaluate import evaluate
from benchmark.evaluation.scoring import FEWEST, ceiling, half, limit, only, references_of, true_means
from benchmark.means import MovableCells
from benchmark.predicting import CELLS, FALLBACK, predict_all, sample_cells
from benchmark.registry import load_method
from benchmark.splits import Split
from benchmark.splits.views import control_cells, held_out_cells, training_views

HALVINGS = 5
"""How often real cells are halved to measure the noise of a score."""

ERRORS = 2
"""A perturbation can tell where the bound is so many standard errors above the train mean."""


@dataclass(frozen=True)
class TrustTable:
    """What each metric can tell on a split.

    Attributes
    ----------
    dataset, dataset_digest, split, seed
        What was measured.
    perturbations
        How many test perturbations there are.
    rows
        A row per metric. "train_mean", "duplicate", "bound": mean over the perturbations; "range": how much
        better the bound is than the train mean; "placed": where the duplicate stands between them; "noise":
        the standard error of a perturbation's score that comes of the real cells; "sampling": which part of
        the variance of the duplicate's scores over perturbations that is; "told": share of the perturbations
        whose bound is more than `ERRORS` standard errors above the train mean. NaN where undefined.
    """

    dataset: str
    dataset_digest: str
    split: str
    seed: int
    perturbations: int
    rows: pd.DataFrame


def measure(dataset: Dataset, split: Split) -> TrustTable:
    """Measure what the metrics that judge can tell on a split.

    The noise of a score is that of the real cells: the duplicate is scored against either half of them,
    `HALVINGS` times. Two halves differ by twice the variance of a half, and that is twice the variance of
    all of them.

    Parameters
    ----------
    dataset
        The data.
    split
        Whose test perturbations are looked at.
    """
    references, real = references_of(dataset, split), held_out_cells(dataset, split)
    reference = only(references, split)
    control = control_cells(dataset, split)
    start = sample_cells(control, CELLS, split.seed)
    train, validation = training_views(dataset, split)
    same, _ = predict_all(
        load_method(FALLBACK)().fit(train, validation), start, split.test, lambda: (train, validation)
    )
    movable = MovableCells(start.X.toarray())

    def between(label: str) -> np.ndarray:
        truth = differential_expression(reference, label, real[label])
        return movable.to((true_means(truth)[0] + reference.given.mean) / 2).astype(np.float32)

    duplicate = {label: between(label) for label in real}
    low, middle = evaluate(reference, real, same), evaluate(reference, real, duplicate)
    means, cells = limit(dataset, split, references), ceiling(dataset, split, references)
    high = pd.DataFrame(
        {name: (means if METRICS[name].spec.reads == "mean" else cells)[name] for name in low}
    )
    halves = []
    for seed in range(HALVINGS):
        enough = {label: cells for label, cells in real.items() if cells.shape[0] >= FEWEST}
        one, other = (LazyCells(enough, partial(half, enough, seed=seed, which=which)) for which in range(2))
        known = {label: duplicate[label] for label in enough}
        halves.append(evaluate(reference, one, known) - evaluate(reference, other, known))
    rows = {
        name: row_of(name, low[name], middle[name], high[name], [each[name] for each in halves])
        for name, declared in METRICS.items()
        if declared.spec.higher_is_better is not None
    }
    return TrustTable(dataset.name, dataset.digest, split.scheme, split.seed, len(real), pd.DataFrame(rows).T)


def row_of(
    name: str, low: pd.Series, middle: pd.Series, high: pd.Series, apart: Sequence[pd.Series]
) -> Mapping[str, float]:
    """Compare the three predictions in one metric."""
    sign = METRICS[name].spec.sign
    gains = (sign * (high - low)).dropna()
    variance = noise_variance(apart)
    spread = middle.var()
    ends = low.mean(), high.mean()
    return {
        "train_mean": ends[0],
        "duplicate": middle.mean(),
        "bound": ends[1],
        "range": sign * (ends[1] - ends[0]),
        "placed": (middle.mean() - ends[0]) / (ends[1] - ends[0]) if ends[1] != ends[0] else np.nan,
        "noise": variance**0.5,
        "sampling": min(variance / spread, 1.0) if spread > 0 else np.nan,
        "told": float((gains > ERRORS * variance**0.5).mean()) if len(gains) and variance >= 0 else np.nan,
    }


def noise_variance(apart: Sequence[pd.Series]) -> float:
    """Variance of a score over real cells, from how far apart the halves of these were; NaN of nothing."""
    squares = np.concatenate(apart) ** 2
    defined = squares[~np.isnan(squares)]
    return float(defined.mean() / 4) if len(defined) else float("nan")
