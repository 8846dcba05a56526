"""Effects of perturbed genes that are learned by descent on all training means at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from methods._pseudobulk import Changes, perturbed_gene_indicators

SHRINKAGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""What the summed squares of the effects are weighted with in the loss; one is chosen on held-out doubles."""
MOST_AXES = 256
"""Rank of the effects: they are learned on so many principal axes of the mean changes at most."""
HELD_OUT = 6
"""One in so many doubles is held out to choose."""
ITERATIONS = 40


def learn_effects(changes: Changes) -> tuple[np.ndarray, np.ndarray]:
    """Learn an intercept and one effect per perturbed gene, whose sums are the mean changes.

    The loss is the squared error over all perturbations at once, and a weight on the squares of the effects
    that is chosen on doubles that a first descent does not see.

    Parameters
    ----------
    changes
        At least `HELD_OUT` doubles.

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
    doubles = np.flatnonzero([p.is_double for p in changes.perturbations])
    held = torch.from_numpy(np.random.default_rng(0).permutation(doubles)[: len(doubles) // HELD_OUT])
    kept = torch.ones(len(scores), dtype=torch.bool)
    kept[held] = False
    first = _descend(indicators[kept], scores[kept], torch.tensor(SHRINKAGES, dtype=torch.float64))
    errors = (_sums(first, indicators[held]) - scores[held]).square().sum(dim=(1, 2))
    chosen = torch.tensor([SHRINKAGES[int(errors.argmin())]], dtype=torch.float64)
    found = (_descend(indicators, scores, chosen)[0]).numpy() @ axes
    return mean + found[-1], found[:-1]


def _sums(effects: Tensor, indicators: Tensor) -> Tensor:
    """Sums of effects (sets, perturbed + 1, axes), the last of which is the intercept."""
    return indicators @ effects[:, :-1] + effects[:, -1:]


def _descend(indicators: Tensor, scores: Tensor, shrinkages: Tensor) -> Tensor:
    """Learn one set of effects for each weight, (sets, perturbed + 1, axes)."""
    shape = (len(shrinkages), indicators.shape[1] + 1, scores.shape[1])
    effects = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [effects], max_iter=ITERATIONS, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        errors = (_sums(effects, indicators) - scores).square().sum(dim=(1, 2))
        total = (errors + shrinkages * effects[:, :-1].square().sum(dim=(1, 2))).sum()
        total.backward()
        return total

    optimiser.step(loss)
    return effects.detach()
