"""Asking a fitted method: the control cells that it starts from, and its answers, checked one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.contexts import COLUMNS, CONTEXT, values_in_view
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
    """Draw the control cells of each context that predictions start from, all where there are too few.

    They are drawn without replacement.

    A cell that came twice would count as two independent ones in every test.

    Parameters
    ----------
    control
        The control cells that methods are given.
    cells
        How many are drawn at most, of each context.
    seed
        Of the draw, which does not depend on `samples`.
    samples
        How often the drawn cells are given: as whole blocks, one after the other, so that the first block
        is all that one sample gives.

    Returns
    -------
    AnnData
        (samples * cells, genes), one context after the other; obs "perturbation", "context", "batch",
        "control_cell" (the name of the control cell) and "sample" (the number of the block, from 0).
    """
    import pandas as pd
    from anndata import AnnData

    contexts = values_in_view(control.obs, CONTEXT)
    blocks = []
    for context in sorted(set(contexts)):
        rng = np.random.default_rng(seed)
        those = np.flatnonzero(contexts == context)
        drawn = rng.choice(len(those), min(cells, len(those)), replace=False)
        blocks += [(sample, those[drawn]) for sample in range(samples)]
    rows = np.concatenate([block for _, block in blocks])
    layers = {name: values[rows] for name, values in control.layers.items() if name is not None}
    columns = {
        "perturbation": CONTROL,
        **{name: values_in_view(control.obs, name)[rows] for name in COLUMNS},
        "control_cell": control.obs_names[rows],
        "sample": np.concatenate([np.full(len(block), sample) for sample, block in blocks]),
    }
    obs = pd.DataFrame(columns, index=pd.Index([str(index) for index in range(len(rows))]))
    return AnnData(control.X[rows], obs=obs, var=control.var, layers=layers, uns=control.uns)


def starts_by_context(start: AnnData) -> dict[str, AnnData]:
    """Return what `sample_cells` drew of each context, by its name; of one context it is the same object."""
    contexts = values_in_view(start.obs, CONTEXT)
    names = sorted(set(contexts))
    return {name: start if len(names) == 1 else start[contexts == name].copy() for name in names}


def predict_all(
    method: Method,
    start: AnnData,
    labels: tuple[str, ...],
    views: Callable[[], tuple[AnnData, AnnData]],
) -> tuple[Mapping[str, np.ndarray], dict[str, str]]:
    """Predict every test perturbation; one that the method refuses is left to `FALLBACK`.

    Where data have several contexts, one after the other is asked, with its own control cells.

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
    starts = starts_by_context(start)
    of_context = {label: Perturbation.parse(label).context for label in labels}
    is_counts = method.expression == "counts"
    worth = {name: _worth(method, cells) for name, cells in starts.items()} if is_counts else None
    require_draws(method, int(start.obs["sample"].max()) + 1)
    perturbations = {label: Perturbation.parse(label) for label in labels}
    with told_apart(method, "saying what it does not support"):
        reasons = {label: method.unsupported(p) for label, p in perturbations.items()}
    fallbacks = {label: reason for label, reason in reasons.items() if reason is not None}
    asked = [label for label in labels if label not in fallbacks]
    predicted: dict[str, np.ndarray] = {}
    with stage("predict", len(asked)) as progress, told_apart(method, "predicting"):
        for context, cells_of_context in starts.items():
            here = [label for label in asked if of_context[label] == context]
            answers = iter(method.predict(cells_of_context, [perturbations[label] for label in here]))
            answered = 0
            for label, cells in zip(here, answers, strict=False):
                checked = _checked(cells, cells_of_context.shape, method.name, label, is_counts)
                predicted[label] = checked.copy()  # it may be used again
                answered += 1
                progress.advance()
            _require_answers(method, answered + sum(1 for _ in islice(answers, len(here))), len(here))
    if fallbacks:
        instead = load_method(FALLBACK)().fit(*views())
        for context, cells_of_context in starts.items():
            here = [label for label in fallbacks if of_context[label] == context]
            answers = instead.predict(cells_of_context, [perturbations[label] for label in here])
            for label, cells in zip(here, answers, strict=True):
                rng = np.random.default_rng(list(label.encode()))
                predicted[label] = cells if worth is None else counts_of(cells, worth[context], rng)
    in_order = {label: predicted[label] for label in labels}
    if worth is None:
        return in_order, fallbacks
    return PredictedCounts(in_order, lambda label, counts: worth[of_context[label]]), fallbacks


def _require_answers(method: Method, answered: int, asked: int) -> None:
    if answered != asked:
        raise BenchmarkError(
            f"{method.name} answered {answered} of {asked} perturbations; it must answer each once."
        )


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
