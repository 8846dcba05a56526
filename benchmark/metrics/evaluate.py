"""Score predicted cells against real cells, perturbation by perturbation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd

from benchmark.errors import BenchmarkError
from benchmark.metrics import METRICS
from benchmark.metrics.differential import Matrix, SortedCells, differential_expression
from benchmark.progress import stage


def evaluate(
    control: Matrix,
    real: Mapping[str, Matrix],
    predicted: Mapping[str, Matrix],
    predicts: Literal["cells", "mean"] = "cells",
) -> pd.DataFrame:
    """Compute every metric that applies for every perturbation.

    Both sides are compared with the same real control cells. Perturbations are taken one at a time, so a
    mapping that loads cells when asked keeps memory at one perturbation plus the control cells. The values
    do not depend on the number of threads, on the order of the cells, or on what else is scored.

    Parameters
    ----------
    control
        The real control cells: (cells, genes), dense or sparse, log1p of counts per 10,000.
    real
        The real cells of each perturbation, in the form of `control`.
    predicted
        The predicted cells of the same perturbations; the number of cells may differ.
    predicts
        What the method claims to predict; metrics that need more do not apply.

    Returns
    -------
    pandas.DataFrame
        float64; one row per perturbation in the order of `real` (index "perturbation"), one column per
        metric that applies, in the order of `METRICS`.

    Raises
    ------
    BenchmarkError
        When the two sides do not have the same perturbations, gene counts differ, there are fewer than 2
        cells, or a value is NaN, infinite, negative or not on the log scale.
    """
    _check_same(real, predicted)
    reference = SortedCells.of(control, "The control cells")
    applicable = {
        name: metric for name, metric in METRICS.items() if predicts == "cells" or metric.spec.needs == "mean"
    }
    rows: dict[str, list[float]] = {}
    with stage("score", total=len(real)) as progress:
        for label in real:
            truth = differential_expression(reference, real[label], f"The real cells of '{label}'")
            guess = differential_expression(reference, predicted[label], f"The predicted cells of '{label}'")
            rows[label] = [metric(truth, guess) for metric in applicable.values()]
            progress.advance()
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(applicable), dtype=float)
    return table.rename_axis("perturbation")


def _check_same(real: Mapping[str, Matrix], predicted: Mapping[str, Matrix]) -> None:
    if not len(real):
        raise BenchmarkError("There are no perturbations to score; choose a split with test perturbations.")
    for kind, missing in (
        ("predicted", real.keys() - predicted.keys()),
        ("real", predicted.keys() - real.keys()),
    ):
        if missing:
            raise BenchmarkError(
                f"{len(missing)} perturbations have no {kind} cells, such as '{min(missing)}'; "
                "score only perturbations that have both."
            )
