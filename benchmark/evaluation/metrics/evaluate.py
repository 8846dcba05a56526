"""Score predicted cells against real cells, perturbation by perturbation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS, Metric, Panel, PanelMetric, Reference
from benchmark.evaluation.metrics.parallel import for_each
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.machine.progress import stage

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    reference: Reference,
    real: Mapping[str, Matrix],
    predicted: Mapping[str, Matrix],
    predicts: Literal["cells", "mean"] = "cells",
) -> pd.DataFrame:
    """Compute every metric that applies for every perturbation.

    Each side is compared with its own control cells, see `Reference`. Each thread takes one perturbation at a
    time, so a mapping that loads cells when asked keeps memory at as many perturbations as there are threads,
    the control cells and the means of all. The values do not depend on the number of threads or on the order
    of the cells; those of metrics of one perturbation do not depend on what else is scored.

    Parameters
    ----------
    reference
        The control cells of both sides, and what else responses are measured against.
    real
        The real cells of each perturbation: (cells, genes), dense or sparse, log1p of counts per 10,000.
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
    import pandas as pd

    from benchmark.evaluation.metrics.differential import differential_expression

    _check_same(real, predicted)
    applicable = [
        declared for declared in METRICS.values() if predicts == "cells" or declared.spec.needs == "mean"
    ]
    single = [declared for declared in applicable if isinstance(declared, Metric)]
    changes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    rows: dict[str, list[float]] = {}

    def score(label: str) -> tuple[list[float], tuple[np.ndarray, np.ndarray]]:
        truth = differential_expression(reference, label, real[label], f"The real cells of '{label}'")
        guess = differential_expression(
            reference, label, predicted[label], f"The predicted cells of '{label}'", reference.given
        )
        centre = reference.control.mean
        return [declared(truth, guess) for declared in single], (truth.mean - centre, guess.mean - centre)

    with stage("score", total=len(real)) as progress:
        for label, found in zip(real, for_each(score, real), strict=True):
            rows[label], changes[label] = found
            progress.advance()
    names = [declared.spec.name for declared in single]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names, dtype=float)
    truths, guesses = (np.stack(side) for side in zip(*changes.values(), strict=True))
    panel = Panel(tuple(changes), reference, truths, guesses)
    for declared in applicable:
        if isinstance(declared, PanelMetric):
            table[declared.spec.name] = declared(panel)
    return table[[declared.spec.name for declared in applicable]].rename_axis("perturbation")


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
