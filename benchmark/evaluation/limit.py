"""What a model that knew the true means would score against the cells that there are.

No prediction can be expected to come nearer to the mean of n cells than their true mean does, and that one is
not known. So it is drawn: from what the cells leave open about it, gene by gene. The change of the mean of a
gene is seen with a normal error, whose size the spread of the cells tells; how changes are distributed over
the genes of one perturbation is a mixture of normals around no change, fitted by maximum likelihood (adaptive
shrinkage: Stephens, Biostatistics 2017, without its penalty, which takes ten genes more for unchanged: too
many for a panel of a hundred). Scoring such draws as predictions gives the limit in every metric of means at
once. Two have known answers, which tests compare it with: the limit of `mse` is the variance of the real
mean, that of a correlation the square root of the reliability of the changes.

Half of the cells as a prediction of the other half, the replicate (`benchmark.evaluation.scoring.ceiling`),
has four times that noise in its `mse`, and good methods lie above it.
"""

from __future__ import annotations

import numpy as np

GRID = np.sqrt(2.0)
"""Ratio of neighbouring standard deviations of the mixture."""

STEPS = 100
"""Of the EM algorithm; more change the weights by less than matters here."""

PRIOR_CELLS = 5
"""How many cells the variance in control cells stands for, where that of a few perturbed cells is estimated:
a gene that none of 10 cells expresses has not for that reason a mean that is known to be 0."""


def error_of_mean(variance: np.ndarray, n_cells: int, usual: np.ndarray) -> np.ndarray:
    """Estimate the standard error of the mean of each gene.

    Parameters
    ----------
    variance
        float64, (genes,): over the cells, divisor n_cells - 1.
    n_cells
        How many there are.
    usual
        float64, (genes,): the variance over control cells.

    Returns
    -------
    numpy.ndarray
        float64, (genes,).
    """
    moderated = ((n_cells - 1) * variance + PRIOR_CELLS * usual) / (n_cells - 1 + PRIOR_CELLS)
    return np.sqrt(moderated / n_cells)


def draw_true_changes(
    change: np.ndarray, error: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw what the true change of each gene may be.

    Parameters
    ----------
    change
        float64, (genes,): the change that was seen.
    error
        float64, (genes,): its standard error; where it is 0, the change is known.
    draws
        How many are drawn.
    rng
        Random numbers.

    Returns
    -------
    numpy.ndarray
        float64, (draws, genes).
    """
    true = np.tile(change, (draws, 1))
    open_ = error > 0
    if not open_.any():
        return true
    seen, squared = change[open_], error[open_] ** 2
    variances = _grid(seen, error[open_]) ** 2
    posterior = _responsibilities(seen, squared, variances)
    cumulative = posterior.cumsum(axis=1)
    for row in true:
        drawn = rng.random((len(seen), 1)) * cumulative[:, -1:]
        prior = variances[(drawn > cumulative).sum(axis=1).clip(max=len(variances) - 1)]
        share = prior / (prior + squared)
        row[open_] = share * seen + np.sqrt(share * squared) * rng.standard_normal(len(seen))
    return true


def _grid(change: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Standard deviations from no change at all to twice the largest one."""
    least = error.min() / 10
    most = max(2 * np.sqrt(max((change**2 - error**2).max(), 0.0)), 8 * least)
    steps = int(np.ceil(np.log(most / least) / np.log(GRID))) + 1
    return np.concatenate([[0.0], least * GRID ** np.arange(steps)])


def _responsibilities(change: np.ndarray, squared: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Which part of the mixture each gene may belong to, (genes, parts), with the weights that fit best."""
    total = squared[:, None] + variances
    log_density = -0.5 * (np.log(total) + change[:, None] ** 2 / total)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    weights = np.full(len(variances), 1 / len(variances))
    for _ in range(STEPS):
        joint = density * weights
        weights = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
    return density * weights
