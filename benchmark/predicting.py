"""Asking a fitted method: the control cells that it starts from, and its answers, checked one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.counted import PredictedCounts, counts_of, worth_of_counts
from benchmark.errors import BenchmarkError
from benchmark.failures import told_apart
from benchmark.machine.progress import stage
from benchmark.method import Method
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.registry import load_method

if TYPE_CHECKING:
    from anndata import AnnData

CELLS = 256
"""Control cells per perturbation, where there are as many."""

FALLBACK = "train_mean"
"""The method that answers where another refuses, so that all are scored on the same perturbations."""


def sample_cells(control: AnnData, cells: int, seed: int, samples: int = 1) -> AnnData:
    """Draw the control cells that predictions start from, without replacement: all where there are too few.

    A cell that came twice would count as two independent ones in every test.

    Parameters
    ----------
    control
        The control cells that methods are given.
    cells
        How many are drawn at most.
    seed
        Of the draw, which does not depend on `samples`.
    samples
        How often the drawn cells are given: as whole blocks, one after the other, so that the first block
        is all that one sample gives.

    Returns
    -------
    AnnData
        (samples * cells, genes); obs "perturbation", "control_cell" (the name of the control cell) and
        "sample" (the number of the block, from 0).
    """
    import pandas as pd
    from anndata import AnnData

    rng = np.random.default_rng(seed)
    drawn = min(cells, control.n_obs)
    rows = np.tile(rng.choice(control.n_obs, drawn, replace=False), samples)
    layers = {name: values[rows] for name, values in control.layers.items() if name is not None}
    columns = {
        "perturbation": CONTROL,
        "control_cell": control.obs_names[rows],
        "sample": np.repeat(np.arange(samples), drawn),
    }
    obs = pd.DataFrame(columns, index=pd.Index([str(index) for index in range(len(rows))]))
    return AnnData(control.X[rows], obs=obs, var=control.var, layers=layers, uns=control.uns)


def predict_all(
    method: Method,
    start: AnnData,
    labels: tuple[str, ...],
    views: Callable[[], tuple[AnnData, AnnData]],
) -> tuple[Mapping[str, np.ndarray], dict[str, str]]:
    """Predict every test perturbation; one that the method refuses is left to `FALLBACK`.

    Parameters
    ----------
    method
        Fitted.
    start
        What `sample_cells` returns.
    labels
        The perturbations, in canonical form.
    views
        Returns the training and the validation cells, which are copied only where `FALLBACK` is needed.

    Returns
    -------
    tuple
        Predicted cells by label, float32 log1p of counts per 10,000, and the reasons of those that were
        refused. What was predicted as counts is `PredictedCounts`, in which what stands in the place of a
        refused answer is counts, too.
    """
    is_counts = method.expression == "counts"
    worth = _worth(method, start) if is_counts else None
    require_draws(method, int(start.obs["sample"].max()) + 1)
    perturbations = {label: Perturbation.parse(label) for label in labels}
    with told_apart(method, "saying what it does not support"):
        reasons = {label: method.unsupported(p) for label, p in perturbations.items()}
    fallbacks = {label: reason for label, reason in reasons.items() if reason is not None}
    asked = [label for label in labels if label not in fallbacks]
    predicted: dict[str, np.ndarray] = {}
    with stage("predict", len(asked)) as progress, told_apart(method, "predicting"):
        answers = iter(method.predict(start, [perturbations[label] for label in asked]))
        for label, cells in zip(asked, answers, strict=False):
            checked = _checked(cells, start.shape, method.name, label, is_counts)
            predicted[label] = checked.copy()  # it may be used again
            progress.advance()
        answered = len(predicted) + sum(1 for _ in islice(answers, len(asked)))
    if answered != len(asked):
        raise BenchmarkError(
            f"{method.name} answered {answered} of {len(asked)} perturbations; it must answer each once."
        )
    if fallbacks:
        instead = load_method(FALLBACK)().fit(*views())
        refused = [perturbations[label] for label in fallbacks]
        for label, cells in zip(fallbacks, instead.predict(start, refused), strict=True):
            rng = np.random.default_rng(list(label.encode()))
            predicted[label] = cells if worth is None else counts_of(cells, worth, rng)
    in_order = {label: predicted[label] for label in labels}
    return in_order if worth is None else PredictedCounts(in_order, lambda label, counts: worth), fallbacks


def _worth(method: Method, start: AnnData) -> np.ndarray:
    """What one count of each cell that is predicted for is worth."""
    if "counts" not in start.layers:
        raise BenchmarkError(
            f"{method.name} predicts counts, but these data hold none; use data with counts, or a "
            "configuration that predicts log values."
        )
    return worth_of_counts(start.X, start.layers["counts"])


def require_draws(method: Method | type[Method], samples: int) -> None:
    """Refuse several samples of a method that draws nothing: all of them would be alike."""
    if samples > 1 and not method.draws:
        raise BenchmarkError(f"{method.name} draws nothing, so that all samples would be alike; ask for one.")


def sampling_noise(method: Method, start: AnnData, predicted: Mapping[str, np.ndarray]) -> float | None:
    """Measure what drawing cells adds to the squared error of a mean; None where the mean is not drawn.

    Parameters
    ----------
    method
        Fitted.
    start
        What the predictions started from, as `sample_cells` gives it.
    predicted
        float32, (cells, genes), of each perturbation that the method itself answered.

    Returns
    -------
    float
        Mean over perturbations and genes of v / n, v the variance over the n control cells that were drawn
        of the mean of the samples of each.
    """
    if not predicted or method.predicts == "mean" or method.predict_mean([]) is not None:
        return None
    samples = int(start.obs["sample"].max()) + 1
    noises = []
    for cells in predicted.values():
        of_cells = cells.reshape(samples, -1, cells.shape[1]).mean(axis=0, dtype=np.float64)
        noises.append(of_cells.var(axis=0, ddof=1).mean() / len(of_cells))
    return float(np.mean(noises))


def _checked(cells: Any, shape: tuple[int, int], method: str, label: str, is_counts: bool) -> np.ndarray:
    """Refuse predictions of another shape or type, or with values that are no numbers."""
    if not isinstance(cells, np.ndarray) or cells.dtype != np.float32 or cells.shape != shape:
        kind = " ".join(str(part) for part in (getattr(cells, "dtype", ""), type(cells).__name__) if part)
        size = f" of shape {cells.shape}" if hasattr(cells, "shape") else ""
        raise BenchmarkError(
            f"{method} predicted a {kind}{size} for {label}; it must be a float32 ndarray of shape {shape}."
        )
    if not np.isfinite(cells).all():
        bad = int((~np.isfinite(cells)).sum())
        raise BenchmarkError(
            f"{method} predicted {bad} values for {label} that are not finite; mend the method."
        )
    if is_counts and not np.array_equal(cells, np.round(cells)):
        raise BenchmarkError(
            f"{method} predicted counts for {label} that are not whole numbers; draw them, or predict log1p "
            "of counts per 10,000."
        )
    if cells.min() < 0:
        raise BenchmarkError(
            f"{method} predicted {cells.min():g} for {label}, but expression is never negative; "
            "clamp it at 0."
        )
    return cells
