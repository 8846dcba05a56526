"""What a model that knew the true means would score against the cells that there are.

No prediction can be expected to come nearer to the mean of n cells than their true mean does, and that one is
not known. So it is drawn: from what the cells leave open about it, gene by gene. The change of the mean of a
gene is seen with a normal error, whose size the spread of the cells tells; changes in units of their errors
are distributed over the genes of one perturbation as a mixture of normals around no change, fitted by maximum
likelihood (adaptive shrinkage: Stephens, Biostatistics 2017, with alpha = 1 and without its penalty, which
takes ten genes more for unchanged: too many for a panel of a hundred). The mixture fits no screen exactly, so
draws are scaled to be off by as much as the errors say, which makes the limit of `mse` the variance of the
real mean. Scoring such draws as predictions gives the limit in every metric of means at once; that of a
correlation is, as it should be, the square root of the reliability of the changes.

Half of the cells as a prediction of the other half, the replicate (`benchmark.evaluation.scoring.ceiling`),
has four times that noise in its `mse`, and good methods lie above it.
"""

from __future__ import annotations

import numpy as np

LEAST, RATIO = 0.1, np.sqrt(2.0)
"""The least standard deviation of the mixture, and the ratio of neighbouring ones."""

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
    seen = change[open_] / error[open_]
    variances = _grid(seen) ** 2
    cumulative = _responsibilities(seen, variances).cumsum(axis=1)
    off = np.empty((draws, len(seen)))
    for row in off:
        drawn = rng.random((len(seen), 1)) * cumulative[:, -1:]
        prior = variances[(drawn > cumulative).sum(axis=1).clip(max=len(variances) - 1)]
        share = prior / (prior + 1)
        row[:] = (share - 1) * seen + np.sqrt(share) * rng.standard_normal(len(seen))
    off *= error[open_]
    true[:, open_] += off * np.sqrt((error[open_] ** 2).mean() / (off**2).mean())
    return true


def _grid(change: np.ndarray) -> np.ndarray:
    """Standard deviations from no change at all to twice the largest one, in units of the error."""
    most = max(2 * np.sqrt(max((change**2 - 1).max(), 0.0)), 8 * LEAST)
    steps = int(np.ceil(np.log(most / LEAST) / np.log(RATIO))) + 1
    return np.concatenate([[0.0], LEAST * RATIO ** np.arange(steps)])


def _responsibilities(change: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Which part of the mixture each gene may belong to, (genes, parts), with the weights that fit best."""
    total = 1 + variances
    log_density = -0.5 * (np.log(total) + change[:, None] ** 2 / total)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    weights = np.full(len(variances), 1 / len(variances))
    for _ in range(STEPS):
        joint = density * weights
        weights = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
    return density * weights
