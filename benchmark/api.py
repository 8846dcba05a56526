"""The harness from Python, for notebooks: load, split, fit, predict, score, plot.

    from benchmark import api

    dataset = api.load_dataset("simulated")
    split = api.load_split(dataset, "doubles", seed=0)
    method = api.fit("additive", dataset, split)
    predictions = api.predict(method, dataset, split)
    scores = api.score(predictions, dataset, split)
    api.plot_change(predictions, dataset, split, split.test[0])

The same cells, checks and metrics as `python -m benchmark run`, and nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from benchmark.data import Dataset, load_dataset
from benchmark.evaluation.independence import require_independence
from benchmark.evaluation.leaks import check_views
from benchmark.evaluation.scoring import ceiling, limit
from benchmark.evaluation.scoring import score as score_cells
from benchmark.method import Method
from benchmark.perturbation import Perturbation
from benchmark.predicting import CELLS, predict_all, sample_cells
from benchmark.registry import load_method
from benchmark.report.plots import plot_change_of_genes, plot_scores
from benchmark.splits import Split, load_split, make_split
from benchmark.splits.views import (
    cells_by_label,
    control_cells,
    held_out_cells,
    scored_controls,
    training_views,
)

__all__ = [
    "Predictions",
    "ceiling",
    "fit",
    "limit",
    "load_dataset",
    "load_split",
    "make_split",
    "plot_change",
    "plot_scores",
    "predict",
    "score",
]


@dataclass(frozen=True)
class Predictions:
    """What a method predicts for the test perturbations of a split.

    Attributes
    ----------
    method
        Its name.
    cells
        Test perturbation -> float32, (cells, genes), log1p of counts per 10,000; the counts as they are in
        ``cells.counts``, where the method predicts counts.
    fallbacks
        Perturbation that the method refused -> its reason; the train mean stands in its place.
    predicts
        As `benchmark.method.Method` has it.
    """

    method: str
    cells: Mapping[str, np.ndarray]
    fallbacks: dict[str, str]
    predicts: Any


def fit(
    method: str | type[Method],
    dataset: Dataset,
    split: Split,
    *,
    preset: str | None = None,
    seed: int = 0,
    device: str = "auto",
    **settings: Any,
) -> Method:
    """Fit a method on the training and validation cells of a split.

    Parameters
    ----------
    method
        A name, ``path/to/file.py:Class``, or a class.
    dataset, split
        What it learns from; it is given copies, without test cells.
    preset, settings
        A named set of hyper-parameters, and single ones by name.
    seed, device
        As `python -m benchmark run` takes them.

    Raises
    ------
    BenchmarkError
        For an unknown method, a hyper-parameter out of bounds, or test cells among the training cells.
    """
    method_class = load_method(method) if isinstance(method, str) else method
    method_class.require_ready()
    config = method_class.Config.build(preset, settings)
    train, validation = training_views(dataset, split)
    check_views(dataset, split, train, validation)
    return method_class(config, seed=seed, device=device).fit(train, validation)


def predict(
    method: Method, dataset: Dataset, split: Split, *, cells: int = CELLS, samples: int = 1
) -> Predictions:
    """Predict every test perturbation of a split, from the control cells that a run draws.

    Parameters
    ----------
    method
        As `fit` returns it.
    dataset, split
        What it was fitted on.
    cells, samples
        How many control cells are drawn, and how many cells are predicted for each.
    """
    start = sample_cells(control_cells(dataset, split), cells, method.seed, samples)
    predicted, fallbacks = predict_all(method, start, split.test, partial(training_views, dataset, split))
    return Predictions(method.name, predicted, fallbacks, method.predicts)


def score(predictions: Predictions, dataset: Dataset, split: Split) -> pd.DataFrame:
    """Score predictions: one row per test perturbation, one column per metric.

    Raises
    ------
    BenchmarkError
        Where predictions are closer to the test cells than any can be that was made without them.
    """
    scores = score_cells(dataset, split, predictions.cells, predictions.predicts)
    require_independence(held_out_cells(dataset, split), scores.drop(index=list(predictions.fallbacks)))
    return scores


def plot_change(predictions: Predictions, dataset: Dataset, split: Split, label: str, ax: Any = None) -> Any:
    """Plot the predicted against the real mean change of every gene under one test perturbation.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`, or a new one.
    """
    split = split.of_context(Perturbation.parse(label).context)
    real = _mean(cells_by_label(dataset, [label])[label])
    real -= _mean(dataset.adata.X[scored_controls(dataset, split)])
    predicted = _mean(predictions.cells[label]) - _mean(control_cells(dataset, split).X)
    title = f"{label}, {predictions.method}"
    return plot_change_of_genes(real, predicted, dataset.adata.var_names, title, ax)


def _mean(cells: Any) -> np.ndarray:
    return np.asarray(cells.mean(axis=0)).ravel()
