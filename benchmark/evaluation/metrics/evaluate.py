"""Score predicted cells against real cells, perturbation by perturbation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS, Metric, PanelMetric, Reference
from benchmark.evaluation.metrics.parallel import for_each
from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.sides import Bulks, Sides, panels
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.machine.progress import stage

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.evaluation.metrics.counts import Counts


def evaluate(
    reference: Reference,
    real: Mapping[str, Matrix],
    predicted: Mapping[str, Matrix],
    predicts: Literal["cells", "mean"] = "cells",
    counts: Counts | None = None,
    truth: Path | None = None,
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
    counts
        The counts of the same cells, where both sides hold them; `MetricSpec.of_counts` says which metrics
        are taken of these.
    truth
        A folder in which what follows from the real cells alone is kept, by their content, so that the next
        prediction of the same cells does not pay for it again (`benchmark.evaluation.metrics.kept`).

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
    applicable = [
        declared for declared in METRICS.values() if predicts == "cells" or declared.spec.needs == "mean"
    ]

    def sides(label: str) -> Sides:
        from benchmark.evaluation.metrics.differential import differential_expression

        name = f"The real cells of '{label}'"
        own = differential_expression(reference, label, real[label], name, truth=truth)
        cells, name = predicted[label], f"The predicted cells of '{label}'"
        guess = differential_expression(reference, label, cells, name, reference.given)
        return Sides((own, guess), None if counts is None else counts.sides(label))

    (table,) = _tables(applicable, list(real), lambda label: [sides(label)])
    return table


def evaluate_means(
    reference: Reference,
    real: Mapping[str, Matrix],
    means: Callable[[Response], np.ndarray],
    truth: Path | None = None,
) -> list[pd.DataFrame]:
    """Compute every metric that reads means alone, for several predicted means of each perturbation.

    Parameters
    ----------
    reference
        The control cells of both sides, and what else responses are measured against.
    real
        The real cells of each perturbation.
    means
        Real response -> predicted means, (predictions, genes), log1p of counts per 10,000; of every
        perturbation as many.
    truth
        As in `evaluate`.

    Returns
    -------
    list of pandas.DataFrame
        One as `evaluate` returns it for each prediction.
    """
    from benchmark.evaluation.metrics.differential import differential_expression, response_of_mean

    def sides(label: str) -> list[Sides]:
        name = f"The real cells of '{label}'"
        own = differential_expression(reference, label, real[label], name, truth=truth)
        return [Sides((own, response_of_mean(reference, label, mean))) for mean in means(own)]

    applicable = [declared for declared in METRICS.values() if declared.spec.reads == "mean"]
    return _tables(applicable, list(real), sides)


def _tables(
    applicable: Sequence[Metric | PanelMetric],
    labels: Sequence[str],
    sides: Callable[[str], list[Sides]],
) -> list[pd.DataFrame]:
    """Score pairs of a real and a predicted response, as many for each perturbation: a table for each."""
    import pandas as pd

    single = [declared for declared in applicable if isinstance(declared, Metric)]

    def score(label: str) -> list[tuple[list[float], Bulks, Bulks]]:
        found = []
        for each in sides(label):
            found.append(([declared(*each.of(declared.spec)) for declared in single], *each.bulks))
            each.logs[0].kept.save()
        return found

    rows: list[list[tuple[list[float], Bulks, Bulks]]] = []
    with stage("score", total=len(labels)) as progress:
        for found in for_each(score, labels):
            rows.append(found)
            progress.advance()
    tables = []
    for of_all in zip(*rows, strict=True):
        scores, of_logs, of_counts = zip(*of_all, strict=True)
        panel = panels(labels, of_logs, of_counts)
        names = [declared.spec.name for declared in single]
        table = pd.DataFrame(scores, index=list(labels), columns=names, dtype=float)
        for declared in applicable:
            if isinstance(declared, PanelMetric):
                table[declared.spec.name] = declared(panel[declared.spec.of_counts])
        tables.append(table[[declared.spec.name for declared in applicable]].rename_axis("perturbation"))
    return tables


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
