"""Expression as scGPT reads it: every cell in bins of its own quantiles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def tie_breaks(genes: int, seed: int) -> Tensor:
    """Draw one uniform number per gene, (genes,), which decides where equal values go.

    scGPT draws anew for every cell. Here the draw belongs to the gene: a cell's bins then depend on nothing
    but its values and the seed, and the maps of two cells do not differ by the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(genes, generator=generator, dtype=torch.float64)


def bin_values(values: Tensor, n_bins: int, ties: Tensor) -> Tensor:
    """Bin the non-zero values of each cell by their quantiles, as scGPT does (Cui et al. 2024, Methods).

    The edges are the quantiles 0, 1 / (n_bins - 2), ..., 1 of a cell's non-zero values, by linear
    interpolation. A value in [edge i, edge i + 1) is in bin i, counted from 1. Where several edges are equal
    to a value, it may be in any of the bins that they bound, each as likely: most counts are 1, and would
    otherwise share one bin.

    Parameters
    ----------
    values
        Non-negative expression, (cells, genes), in any unit that keeps the order within a cell.
    n_bins
        Number of bins with that of zeros; at least 3.
    ties
        Uniform numbers in [0, 1) that choose among the bins, (genes,).

    Returns
    -------
    Tensor
        Bins, whole numbers of 64 bits, (cells, genes): 0 for zeros, else 1 to n_bins - 1.
    """
    values = values.double().contiguous()
    edges = _quantiles(values, torch.from_numpy(np.linspace(0, 1, n_bins - 1)).to(values.device))
    highest = torch.searchsorted(edges, values, right=True)
    lowest = torch.searchsorted(edges, values)
    bins = highest - (ties.to(values.device) * (highest - lowest)).long()
    return torch.where(values > 0, bins, 0)


def _quantiles(values: Tensor, levels: Tensor) -> Tensor:
    """Quantiles of the non-zero values of each cell, (cells, levels); zeros stand first when sorted."""
    last = values.shape[1] - 1
    count = (values > 0).sum(1, keepdim=True)
    ordered = values.sort(1).values
    place = (count - 1).clamp(min=0) * levels
    below = place.long()
    start = values.shape[1] - count
    lower = ordered.gather(1, (start + below).clamp(max=last))
    upper = ordered.gather(1, (start + below + 1).clamp(max=last))
    return torch.lerp(lower, upper, place - below)
