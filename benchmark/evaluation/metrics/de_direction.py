"""cell-eval2's metrics of direction: how many predicted calls go the right way, and how far down that holds.

The corrected ones subtract what the more frequent direction gives: q is its share among the real DE genes.
Targets of the perturbation are left out, as everywhere in the suite of the Virtual Cell Challenge 2026, but
in the three older ones (precision and the two sensitivities).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmark.evaluation.metrics.response import FDR_THRESHOLD, Response
from benchmark.evaluation.metrics.spec import CONTROL_CELLS, MetricSpec, metric
from benchmark.evaluation.metrics.verdicts import (
    FEWEST_GENES,
    FEWEST_IN_DOUBT,
    Verdicts,
    verdicts,
    verdicts_without_targets,
)

PURITY = 0.9
"""Share of right signs down to which the raw reach goes."""

TABLE = (
    "DE genes: Wilcoxon, FDR < 0.05, all cells of each side; sign = that of the fold change of mean counts"
)
SETTLED = "k = predicted DE genes of the right sign, n_pred = predicted ones whose real fold change is not 0"
N_REAL = "n_real = number of real DE genes"
CORRECTED = "q = share of their more frequent sign, d = max(1 - q, 0.05)"
NO_GENE = "no real DE gene"
NO_SIGN = "all genes that the real cells call have a fold change of 0"
TOO_FEW = f"fewer than {FEWEST_GENES} real DE genes"
ORDER = (
    "the longest beginning, in the order of the prediction's confidence (p, |log2 fold change|, name), of "
    "{among} in which at least {purity} have the right sign"
)
UNBOUNDED = "; a perfect prediction is not the best one, since more genes than real ones can be ranked"

Family = Callable[[Verdicts], float]


def _declare(
    name: str,
    formula: str,
    nan_means: str,
    *,
    range: tuple[float, float] = (0.0, 1.0),
    judges: bool = True,
    targets: bool = False,
) -> Callable[[Family], Family]:
    """Register a function of the verdicts of one pair under cell-eval2's name."""
    spec = MetricSpec(
        name=f"de_wilcoxon_direction_{name}",
        version="1",
        family="DE",
        formula=f"{formula}; {TABLE}; cell-eval2 0.20",
        range=range,
        higher_is_better=True if judges else None,
        gene_set="DE genes" if targets else "DE genes but the targets of the perturbation",
        reference=CONTROL_CELLS,
        nan_means=nan_means,
        reads="cells",
        perfect=1.0 if judges else None,
        of_counts=True,
    )
    judged = verdicts if targets else verdicts_without_targets

    def register(score: Family) -> Family:
        @metric(spec)
        def of_pair(real: Response, predicted: Response) -> float:
            return score(judged(real, predicted))

        return score

    return register


@_declare(
    "precision",
    f"k / n_pred, 0 of none; {SETTLED}; targets stay in",
    f"fewer than {FEWEST_GENES} genes whose real fold change is not 0",
    targets=True,
)
def precision(of: Verdicts) -> float:
    """Share of the predicted calls that go the right way."""
    if of.settled.sum() < FEWEST_GENES:
        return float("nan")
    return of.n_right / of.n_predicted if of.n_predicted else 0.0


@_declare(
    "sensitivity",
    f"{ORDER.format(among='the real DE genes', purity='97.5 %')}, / n_real; {N_REAL}; targets stay in",
    TOO_FEW,
    targets=True,
)
def sensitivity(of: Verdicts) -> float:
    """How far down the real DE genes signs are nearly all right."""
    return _share(of.depth(1 - FDR_THRESHOLD / 2, of.real), of) if _judges(of) else float("nan")


@_declare(
    "sensitivity_universe",
    f"as direction_sensitivity among all tested genes{UNBOUNDED}",
    TOO_FEW,
    range=(0.0, float("inf")),
    judges=False,
    targets=True,
)
def sensitivity_universe(of: Verdicts) -> float:
    """How far down all genes signs are nearly all right."""
    return _share(of.depth(1 - FDR_THRESHOLD / 2, of.counted), of) if _judges(of) else float("nan")


@_declare(
    "fidelity",
    f"(k / n_pred - q) / d; {SETTLED}; {CORRECTED}; without real DE genes 1 where none is predicted, else 0",
    f"no gene is predicted, or {NO_SIGN}",
    range=(-20.0, 1.0),
)
def fidelity(of: Verdicts) -> float:
    """Share of right calls, less what one sign for all gives."""
    if not of.n_real:
        return float(of.n_predicted == 0)
    return _corrected(of) if of.n_predicted else float("nan")


@_declare("fidelity_raw", f"k / n_pred; {SETTLED}", "no gene is predicted that has a real fold change")
def fidelity_raw(of: Verdicts) -> float:
    """Share of the predicted calls that go the right way, targets left out."""
    return _ratio(of.n_right, of.n_predicted)


@_declare(
    "coverage", f"n_pred / n_real; {SETTLED}; {N_REAL}", NO_GENE, range=(0.0, float("inf")), judges=False
)
def coverage(of: Verdicts) -> float:
    """Predicted calls for each real DE gene."""
    return _share(of.n_predicted, of)


@_declare(
    "yield",
    f"(k - q n_pred) / (n_real d); {SETTLED}; {N_REAL}; {CORRECTED}",
    f"{NO_GENE}, or {NO_SIGN}",
    range=(-float("inf"), float("inf")),
    judges=False,
)
def yield_(of: Verdicts) -> float:
    """Right calls for each real DE gene, less what one sign for all gives."""
    if not of.n_real:
        return float("nan")
    q, doubt = _majority(of)
    return (of.n_right - q * of.n_predicted) / (of.n_real * doubt)


@_declare("yield_raw", f"k / n_real; {SETTLED}; {N_REAL}", NO_GENE, range=(0.0, float("inf")), judges=False)
def yield_raw(of: Verdicts) -> float:
    """Right calls for each real DE gene."""
    return _share(of.n_right, of)


@_declare(
    "fidelity_yield",
    f"min(1, n_pred / n_real) (k / n_pred - q) / d; {SETTLED}; {N_REAL}; {CORRECTED}; 0 where no gene is "
    "predicted; without real DE genes 1 where none is predicted, else 0",
    NO_SIGN,
    range=(-20.0, 1.0),
)
def fidelity_yield(of: Verdicts) -> float:
    """Share of right calls, less what one sign for all gives, and less for whoever calls too few."""
    if not of.n_real:
        return float(of.n_predicted == 0)
    if np.isnan(_majority(of)[0]):
        return float("nan")
    return min(1.0, of.n_predicted / of.n_real) * _corrected(of) if of.n_predicted else 0.0


@_declare(
    "fidelity_yield_raw",
    f"k / max(n_pred, n_real); {SETTLED}; {N_REAL}; one of the six of the Virtual Cell Challenge 2026",
    "neither side calls a gene",
)
def fidelity_yield_raw(of: Verdicts) -> float:
    """Share of right calls; who calls too many and who calls too few lose alike."""
    return _ratio(of.n_right, max(of.n_predicted, of.n_real))


@_declare(
    "reach",
    f"{ORDER.format(among='the real DE genes', purity='q + 0.95 (1 - q)')}, / n_real; {N_REAL}; q = share of "
    "their more frequent sign",
    f"{NO_GENE}, or {NO_SIGN}",
)
def reach(of: Verdicts) -> float:
    """How far down the real DE genes signs are better than one sign for all."""
    return _reach(of, of.real)


@_declare(
    "reach_raw",
    f"{ORDER.format(among='the real DE genes', purity='90 %')}, / n_real; {N_REAL}; one of the six of the "
    "Virtual Cell Challenge 2026",
    NO_GENE,
)
def reach_raw(of: Verdicts) -> float:
    """How far down the real DE genes nine signs of ten are right."""
    return _share(of.depth(PURITY, of.real), of)


@_declare(
    "reach_unbounded",
    f"as direction_reach among all tested genes{UNBOUNDED}",
    f"{NO_GENE}, or {NO_SIGN}",
    range=(0.0, float("inf")),
    judges=False,
)
def reach_unbounded(of: Verdicts) -> float:
    """How far down all genes signs are better than one sign for all."""
    return _reach(of, of.counted)


@_declare(
    "reach_unbounded_raw",
    f"as direction_reach_raw among all tested genes{UNBOUNDED}",
    NO_GENE,
    range=(0.0, float("inf")),
    judges=False,
)
def reach_unbounded_raw(of: Verdicts) -> float:
    """How far down all genes nine signs of ten are right."""
    return _share(of.depth(PURITY, of.counted), of)


def _reach(of: Verdicts, among: np.ndarray) -> float:
    q, _ = _majority(of)
    if np.isnan(q):
        return float("nan")
    return _share(of.depth(q + (1 - FDR_THRESHOLD) * (1 - q), among), of)


def _corrected(of: Verdicts) -> float:
    q, doubt = _majority(of)
    return (of.n_right / of.n_predicted - q) / doubt


def _majority(of: Verdicts) -> tuple[float, float]:
    """Share of the more frequent sign among the real DE genes, and the rest, at least 5 %; NaN of none."""
    rising, votes = int((of.real & of.settled & of.rises).sum()), int((of.real & of.settled).sum())
    if not votes:
        return float("nan"), float("nan")
    q = max(rising, votes - rising) / votes
    return q, max(1 - q, FEWEST_IN_DOUBT)


def _judges(of: Verdicts) -> bool:
    return of.n_real >= FEWEST_GENES


def _share(part: int, of: Verdicts) -> float:
    """So many for each real DE gene."""
    return _ratio(part, of.n_real)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
