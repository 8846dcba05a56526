"""Effects of perturbed genes that are learned by descent on all training means at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from methods._pseudobulk import Changes, perturbed_gene_indicators

MOST_AXES = 256
"""Rank of the effects: they are learned on so many principal axes of the mean changes at most."""
ITERATIONS = 40


def learn_effects(changes: Changes, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Learn an intercept and one effect per perturbed gene, whose sums are the mean changes.

    Parameters
    ----------
    changes
        Of the perturbations to learn from.
    weight
        Of the summed squares of the effects in the loss, the rest of which is the squared error over all
        perturbations at once. So the minimum is that of ridge regression with this penalty.

    Returns
    -------
    tuple
        The intercept, (genes,), and the effects in the order of ``changes.genes``, (perturbed genes, genes).
    """
    indicators = torch.from_numpy(perturbed_gene_indicators(changes.perturbations, changes.genes))
    mean = changes.mean()
    _, _, axes = np.linalg.svd(changes.values - mean, full_matrices=False)
    axes = axes[:MOST_AXES]
    scores = torch.from_numpy((changes.values - mean) @ axes.T)
    found = _descend(indicators, scores, weight).numpy() @ axes
    return mean + found[-1], found[:-1]


def _descend(indicators: Tensor, scores: Tensor, weight: float) -> Tensor:
    """Learn effects and, last, the intercept, (perturbed + 1, axes)."""
    shape = (indicators.shape[1] + 1, scores.shape[1])
    effects = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [effects], max_iter=ITERATIONS, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        errors = (indicators @ effects[:-1] + effects[-1] - scores).square().sum()
        total = errors + weight * effects[:-1].square().sum()
        total.backward()
        return total

    optimiser.step(loss)
    return effects.detach()
