"""The metric of dependence between genes: whether genes vary together in predicted cells as in real ones.

A distance of whole distributions hardly sees it: shuffling each gene over the cells, which leaves no
dependence at all, changes energy distance and MMD by little, since most of a distance between two cells is
the noise of each gene. Here the covariances of pairs of genes are compared, without those of a gene with
itself, and what few real cells add to the squared distance is subtracted.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.evaluation.metrics.response import Response
from benchmark.evaluation.metrics.sorted_cells import evenly
from benchmark.evaluation.metrics.spec import MetricSpec, metric

GENES = 200
"""So many genes: their pairs are as many as can be told from cells in their hundreds."""

FEWEST_CELLS = 4


@metric(
    MetricSpec(
        name="covariance_error",
        version="1",
        family="dependence",
        formula="(|P - R|^2 - e) / (|R|^2 - e), P and R = covariances of the predicted and of the real cells "
        "of every pair of two genes, |.|^2 = sum of squares over the pairs, e = "
        "what the sampling of n real cells adds to it, sum of (mean of squared products - R^2) / (n - 1), "
        "products of deviations from the mean; cells that vary as the real ones do score 0, but for the "
        "noise of few predicted cells, which is theirs; genes that vary without each other score 1",
        range=(-math.inf, math.inf),
        higher_is_better=False,
        gene_set=f"the {GENES} genes that vary most in the real control cells, without the targets, "
        "log1p of counts per 10,000",
        reference="the real control cells say which genes",
        nan_means=f"fewer than {FEWEST_CELLS} real cells, or their covariances are not more than noise",
        reads="cells",
        needs="cells",
        perfect=0.0,
    )
)
def covariance_error(real: Response, predicted: Response) -> float:
    """Squared error of the covariances between genes, without real noise, for each unit of real ones."""
    variable = np.argsort(-real.reference.control.variance, kind="stable")
    genes = variable[~np.isin(variable, real.reference.targets([real.label]))][:GENES]
    if real.n_cells < FEWEST_CELLS:
        return math.nan
    # In an order of their own, so that sums are the same in whatever order cells come.
    truth, noise = covariances(evenly(real.cells[:, genes], real.n_cells))
    guess, _ = covariances(evenly(predicted.cells[:, genes], predicted.n_cells))
    size = float((truth**2).sum() - noise)
    # Of noise alone half of all sizes are above 0, and a quotient by one of them is any number.
    return float((((guess - truth) ** 2).sum() - noise) / size) if size > noise else math.nan


def covariances(cells: np.ndarray) -> tuple[np.ndarray, float]:
    """Covariances of pairs of genes, and what sampling adds to the sum of their squares.

    Parameters
    ----------
    cells
        (cells, genes).

    Returns
    -------
    tuple
        float64, (genes, genes): 0 on the diagonal; and the noise, over all entries.
    """
    n = len(cells)
    away = cells - cells.mean(axis=0, dtype=np.float64)
    products = away.T @ away / n
    squares = away**2
    spread = squares.T @ squares / n - products**2
    np.fill_diagonal(products, 0.0)
    np.fill_diagonal(spread, 0.0)
    found = products * (n / (n - 1))
    return found, float(np.maximum(spread, 0).sum() / (n - 1))
