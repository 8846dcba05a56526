"""cell-eval2's squared errors without sampling noise: the panel's answer to few cells on either side.

The squared distance of two pseudobulks of cells has, on average, their noise in it. It is subtracted, so that
a perfect prediction scores 0 and the control cells about 1 however many cells there are. Whoever predicts
noise would be paid for it; so the credit of a prediction is at most what the real cells get, and the credits
of all perturbations together are at most what the predictions differ among each other.
"""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.metrics.response import Panel
from benchmark.evaluation.metrics.sorted_cells import chunks_of_genes
from benchmark.evaluation.metrics.spec import MetricSpec, panel_metric

BULK = (
    "squared distances summed over genes and divided by their number, of pseudobulks (of counts where both "
    "sides hold them: ln(1 + 5e4 x share of the group's counts); else means of log1p values); noise = what "
    "the sampling of cells adds, for counts by the delete-one jackknife, else sum of the variances / cells"
)
ALL_TARGETS = "all genes are targets of the perturbation"
CAPPED = (
    "the prediction's noise counts at most as much as the real one's, and all are scaled down where they add "
    "up to more than the predictions' squared deviations from their mean over the panel"
)


def _spec(
    name: str, formula: str, nan_means: str, reference: str = "none", judges: bool = True
) -> MetricSpec:
    return MetricSpec(
        name=name,
        version="1",
        family="expression",
        formula=f"{formula}; cell-eval2 0.20",
        range=(-float("inf"), float("inf")),
        higher_is_better=False if judges else None,
        gene_set="all genes but the targets of the perturbation",
        reference=reference,
        nan_means=nan_means,
        reads="cells",
        perfect=0.0 if judges else None,
        of_counts=True,
    )


@panel_metric(
    _spec(
        "expr_mse_unbiased",
        f"(distance of prediction and real - both noises) / genes; {BULK}; mse_unbiased subtracts the real "
        "noise alone, from means of log values",
        ALL_TARGETS,
    )
)
def expr_mse_unbiased(panel: Panel) -> np.ndarray:
    """Squared error without the noise of either side, which a prediction of noise makes small."""
    return _error(panel, panel.predicted_noise)


@panel_metric(_spec("expr_mse_unbiased_capped", f"as expr_mse_unbiased, but {CAPPED}", ALL_TARGETS))
def expr_mse_unbiased_capped(panel: Panel) -> np.ndarray:
    """Squared error without noise, as far as noise is no merit of its own."""
    return _error(panel, _credit(panel))


@panel_metric(
    _spec(
        "expr_distance_unbiased",
        f"(distance of real and control - both noises) / genes; {BULK}; what there is to predict",
        ALL_TARGETS,
        "the real control cells",
        judges=False,
    )
)
def expr_distance_unbiased(panel: Panel) -> np.ndarray:
    """Squared length of the real change without noise: the same whatever is predicted."""
    squares = _squares(panel, panel.real)
    return _per_gene(panel, squares - panel.real_noise - panel.reference.control.noise)


@panel_metric(
    _spec(
        "expr_mse_unbiased_capped_norm",
        "n e / (sum of d), e = expr_mse_unbiased_capped, d = expr_distance_unbiased, n = number of "
        "perturbations where both are defined: a share of the panel, whose mean over all of them is "
        "cell-eval2's sum of e / sum of d; the control cells score about 1; one of the six of the Virtual "
        "Cell Challenge 2026",
        f"{ALL_TARGETS}, or the sum of d is not above 0",
        "the real control cells",
    )
)
def expr_mse_unbiased_capped_norm(panel: Panel) -> np.ndarray:
    """Squared error for each unit that there is to predict; only the mean over a panel is read as such."""
    errors, distances = expr_mse_unbiased_capped(panel), expr_distance_unbiased(panel)
    defined = np.isfinite(errors) & np.isfinite(distances)
    whole = distances[defined].sum()
    return errors * defined.sum() / whole if whole > 0 else np.full(len(errors), np.nan)


def _error(panel: Panel, credit: np.ndarray) -> np.ndarray:
    return _per_gene(panel, _squares(panel, panel.predicted - panel.real) - panel.real_noise - credit)


def _credit(panel: Panel) -> np.ndarray:
    """How much of its own noise each prediction is spared."""
    credit = np.minimum(panel.predicted_noise, panel.real_noise)
    genes = np.maximum(panel.scored.sum(axis=1), 1)
    claimed = float((credit / genes).sum())
    return credit * min(_spread(panel) / claimed, 1.0) if claimed > 0 else credit


def _spread(panel: Panel) -> float:
    """Squared deviations of the predictions from their mean over the panel, a target's own gene left out.

    A perturbation of which fewer genes are scored weighs more: its errors are divided by their number.
    """
    scored = panel.scored
    weight = 1 / np.maximum(scored.sum(axis=1), 1)
    total = 0.0
    for genes in chunks_of_genes(scored.shape[1]):
        several = scored[:, genes].sum(axis=0) >= 2
        weights = (weight[:, None] * scored[:, genes])[:, several]
        values = panel.predicted[:, genes][:, several]
        centre = (weights * values).sum(axis=0) / weights.sum(axis=0)
        total += float((weights * (values - centre) ** 2).sum())
    return total


def _squares(panel: Panel, differences: np.ndarray) -> np.ndarray:
    return np.einsum("pg,pg,pg->p", differences, differences, panel.scored)


def _per_gene(panel: Panel, summed: np.ndarray) -> np.ndarray:
    genes = panel.scored.sum(axis=1)
    return np.divide(summed, genes, out=np.full(len(summed), np.nan), where=genes > 0)
