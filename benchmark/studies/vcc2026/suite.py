"""The six metrics of a pair of panels, real and predicted, of counts or of log values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmark.counted import Expression
from benchmark.evaluation.metrics import METRICS, Metric, PanelMetric, Reference, Response
from benchmark.evaluation.metrics.parallel import for_each
from benchmark.evaluation.metrics.sides import Bulks, Sides, panels
from benchmark.evaluation.metrics.sorted_cells import Matrix, SortedCells

if TYPE_CHECKING:
    import pandas as pd

PDS = "pds_cosine"
SIX = (
    PDS,
    "expr_mse_unbiased_capped_norm",
    "de_wilcoxon_direction_fidelity_yield_raw",
    "de_wilcoxon_direction_reach_raw",
    "de_wilcoxon_sig_jaccard",
    "de_wilcoxon_lfc_nmae",
)
"""In the order of the challenge; higher is better but for the second and the last."""

Respond = Callable[[Reference, str, Matrix, str, SortedCells], Response]


@dataclass(frozen=True, eq=False)
class Context:
    """Real cells of one cell context: what is predicted, and what it is measured against.

    Attributes
    ----------
    genes
        Gene symbols, in the order of the columns.
    control
        The control cells, (cells, genes).
    real
        The real cells of each perturbation.
    holds
        Whether all of them are counts, or log1p of counts per 10,000.
    """

    genes: tuple[str, ...]
    control: Matrix
    real: Mapping[str, Matrix]
    holds: Expression

    @property
    def labels(self) -> list[str]:
        """The perturbations."""
        return list(self.real)

    def reference(self, control: Matrix | None = None, given: Matrix | None = None) -> Reference:
        """Summarise control cells: all of the context unless said; `given` are those of the other side."""
        control = self.control if control is None else control
        if self.holds == "counts":
            from benchmark.evaluation.metrics.counts import count_reference

            return count_reference(control, self.genes, given)
        return Reference.of(control, self.genes, given=given)

    def respond(self, whole: bool = True) -> Respond:
        """Return what compares cells with control cells; `whole`: whether counts must be whole numbers."""
        if self.holds == "counts":
            from benchmark.evaluation.metrics.counts import count_response

            return partial(count_response, whole=whole)
        from benchmark.evaluation.metrics.differential import differential_expression

        return differential_expression


def measure(
    context: Context,
    predicted: Mapping[str, Matrix],
    *,
    real: Mapping[str, Matrix] | None = None,
    reference: Reference | None = None,
    whole: bool = True,
) -> pd.DataFrame:
    """Compute the six for every perturbation of a context.

    Parameters
    ----------
    context
        Its cells.
    predicted
        The predicted cells of each perturbation; counts where the context holds counts.
    real, reference
        Other real cells and control cells than all of the context; where the two sides have their own
        control cells, as halves have, the effects of each are measured against these.
    whole
        Whether predicted counts must be whole numbers.

    Returns
    -------
    pandas.DataFrame
        float64, a row per perturbation, a column for each of `SIX`.
    """
    import pandas as pd

    reference, real = reference or context.reference(), real or context.real
    labels, respond, guess = list(real), context.respond(), context.respond(whole)
    single = [METRICS[name] for name in SIX if isinstance(METRICS[name], Metric)]

    def score(label: str) -> tuple[list[float], Bulks]:
        truth = respond(reference, label, real[label], f"The real cells of '{label}'", reference.control)
        name = f"The predicted cells of '{label}'"
        pair = truth, guess(reference, label, predicted[label], name, reference.given)
        values = [declared(*pair) for declared in single if isinstance(declared, Metric)]
        return values, Sides(pair).bulks[0]

    found = list(for_each(score, labels))
    bulks = [bulk for _, bulk in found]
    table = pd.DataFrame([values for values, _ in found], labels, [each.spec.name for each in single], float)
    panel, _ = panels(labels, bulks, bulks)
    own = replace(panel, predicted=panel.predicted + reference.control.mean - reference.given.mean)
    for name in SIX:
        declared = METRICS[name]
        if isinstance(declared, PanelMetric):
            table[name] = declared(own if name == PDS else panel)
    return table[list(SIX)].rename_axis("perturbation")


def means(table: pd.DataFrame) -> dict[str, float]:
    """Mean over the perturbations where a metric is defined; NaN where it is for none."""
    return {name: float(table[name].mean()) for name in SIX}


def log_fold_changes(
    context: Context, reference: Reference, cells: Mapping[str, Matrix], given: bool
) -> dict:
    """Return per label the fold changes of cells against control cells, and which genes are called.

    Parameters
    ----------
    context
        What the labels belong to.
    reference
        The control cells.
    cells
        Label -> cells.
    given
        Whether they are measured against `Reference.given`.

    Returns
    -------
    dict
        Label -> (float64 fold changes, 0 for genes that are not tested; bool, genes with FDR < 0.05 that are
        no target of the perturbation), both (genes,).
    """
    respond = context.respond()
    control = reference.given if given else reference.control

    def compare(label: str) -> tuple[np.ndarray, np.ndarray]:
        found = respond(reference, label, cells[label], f"The real cells of '{label}'", control)
        called = found.fdr < 0.05
        called[reference.targets([label])] = False
        return np.where(found.tested, found.log2_fold_change, 0.0), called

    return dict(zip(cells, for_each(compare, cells), strict=True))
