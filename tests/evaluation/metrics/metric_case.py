"""Responses whose values can be worked out by hand, for the tests of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from benchmark.evaluation.metrics import Moments, Panel, Reference, Response, differential
from benchmark.evaluation.metrics import evaluate as evaluation
from benchmark.evaluation.metrics.sorted_cells import Matrix, SortedCells


def reference(
    n_genes: int,
    control: float | Sequence[float] = 1.0,
    variance: float | Sequence[float] = 1.0,
    n_control: int = 10,
    centroid: Sequence[float] | None = None,
    singles: Mapping[str, Moments] | None = None,
    genes: Sequence[str] | None = None,
) -> Reference:
    """Build a reference from moments alone; the control cells themselves are all at their mean."""
    mean = np.broadcast_to(np.asarray(control, dtype=float), n_genes).copy()
    spread = np.broadcast_to(np.asarray(variance, dtype=float), n_genes).copy()
    values = np.repeat(mean[:, None], n_control, axis=1).astype(np.float32)
    cells = SortedCells(values, mean, spread, np.expm1(mean))
    return Reference(
        genes=tuple(genes or (f"G{index}" for index in range(n_genes))),
        control=cells,
        given=cells,
        centroid=None if centroid is None else np.asarray(centroid, dtype=float),
        singles=dict(singles or {}),
    )


def response(
    change: Sequence[float],
    fold: Sequence[float] | None = None,
    de: str | None = None,
    *,
    against: Reference | None = None,
    variance: float | Sequence[float] = 1.0,
    n_cells: int = 10,
    label: str = "A",
    fdr: Sequence[float] | None = None,
) -> Response:
    """Build a response, over a control mean of 1 unless said otherwise; `de` marks the DE genes with x.

    Its cells are all at their mean: only metrics of means, variances and DE genes can be worked out from it.
    """
    moved = np.array(change, dtype=float)
    against = against or reference(len(moved))
    marks = np.array([mark == "x" for mark in (de or "." * len(moved))])
    rate = np.where(marks, 0.01, 0.5) if fdr is None else np.array(fdr, dtype=float)
    mean = against.control.mean + moved
    cells = np.repeat(mean[None], n_cells, axis=0).astype(np.float32)
    return Response(
        label=label,
        reference=against,
        control=against.control,
        cells=cells,
        ascending=np.sort(cells, axis=0).T.copy(),
        mean=mean,
        variance=np.broadcast_to(np.asarray(variance, dtype=float), len(moved)).copy(),
        change=moved,
        log2_fold_change=moved if fold is None else np.array(fold, dtype=float),
        p_value=rate,
        fdr=rate,
    )


def panel(
    real: Mapping[str, Sequence[float]],
    predicted: Sequence[Sequence[float]],
    de: Sequence[str] | None = None,
    shares: Sequence[Sequence[Sequence[float]]] | None = None,
    **about: object,
) -> Panel:
    """Build a panel from changes: label -> real change, and one predicted change per label.

    `de` marks the real DE genes of each label with x; `shares` are (c1, c2) of the real and of the predicted
    doubles.
    """
    truth = np.array(list(real.values()), dtype=float)
    marks = [[mark == "x" for mark in each] for each in de] if de else np.zeros(truth.shape, dtype=bool)
    of_singles = np.full((2, len(truth), 2), np.nan) if shares is None else np.array(shares, dtype=float)
    return Panel(
        labels=tuple(real),
        reference=reference(truth.shape[1], **about),  # type: ignore[arg-type]
        real=truth,
        predicted=np.array(predicted, dtype=float),
        real_noise=np.zeros(len(truth)),
        predicted_noise=np.zeros(len(truth)),
        called=np.array(marks),
        real_shares=of_singles[0],
        predicted_shares=of_singles[1],
    )


def against(control: Matrix, train: Mapping[str, Matrix] | None = None) -> Reference:
    """Make a reference of control and training cells, genes G0, G1 and so on."""
    return Reference.of(control, [f"G{index}" for index in range(control.shape[1])], train)


def evaluate(
    control: Matrix,
    real: Mapping[str, Matrix],
    predicted: Mapping[str, Matrix],
    predicts: Literal["cells", "mean"] = "cells",
    train: Mapping[str, Matrix] | None = None,
) -> pd.DataFrame:
    """Score against control cells, and training cells where they are given."""
    return evaluation.evaluate(against(control, train), real, predicted, predicts)


def differential_expression(control: Matrix, cells: Matrix) -> Response:
    """Compare the cells of a perturbation A with control cells."""
    return differential.differential_expression(against(control), "A", cells)
