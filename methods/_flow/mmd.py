"""Maximum mean discrepancy between two sets of cells."""

from __future__ import annotations

import torch
from torch import Tensor

BANDWIDTHS = (0.5, 1.0, 2.0, 4.0)


def squared_distances(left: Tensor, right: Tensor) -> Tensor:
    """Squared Euclidean distances between rows, (left, right), never negative."""
    products = left @ right.T
    squares = left.square().sum(1, keepdim=True) + right.square().sum(1) - 2 * products
    return squares.clamp(min=0)


def mmd(sample: Tensor, target: Tensor) -> Tensor:
    """Unbiased squared MMD with a mean of Gaussian kernels (Gretton et al. 2012, eq. 3).

    The kernels are exp(-d^2 / (2 s^2)) with s^2 = 0.5, 1, 2 and 4 times the median squared distance between
    different target cells. Being unbiased, it can be negative.

    Parameters
    ----------
    sample, target
        Cells, (n, genes) and (m, genes), at least two of each.
    """
    n, m = len(sample), len(target)
    within_target = squared_distances(target, target)
    apart = ~torch.eye(m, dtype=torch.bool, device=target.device)
    median = within_target[apart].median().clamp(min=1e-12).detach()

    def kernel(squares: Tensor) -> Tensor:
        return sum(torch.exp(-squares / (2 * width * median)) for width in BANDWIDTHS) / len(BANDWIDTHS)

    own, other = kernel(squared_distances(sample, sample)), kernel(within_target)
    same_sample = (own.sum() - own.diagonal().sum()) / (n * (n - 1))
    same_target = (other.sum() - other.diagonal().sum()) / (m * (m - 1))
    return same_sample + same_target - 2 * kernel(squared_distances(sample, target)).mean()
