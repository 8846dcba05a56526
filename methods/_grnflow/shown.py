"""What a fitted GRNFlow shows of itself: its maps, and how it came to a prediction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RegulatoryMaps:
    """What an attention source says of the regulatory network.

    Attributes
    ----------
    genes
        The panel.
    attention
        Mean map over control cells, (genes, genes): rows read from columns.
    changes
        Label and change of the map of each training perturbation, (genes, genes), signed.
    """

    genes: list[str]
    attention: np.ndarray
    changes: Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class CascadeTrace:
    """How one perturbation was predicted, step by step.

    Attributes
    ----------
    latent
        (points, cells, genes, d): the change of the network, standardised, from noise to what is generated.
    expression
        (points, cells, genes), log1p CP10K: from noise to the predicted cells, before they are recentred and
        clamped.
    network
        (genes, genes): the change of the map that the mean latent stands for, row = gene that reads; None
        where the latent does not say which genes are read.
    """

    latent: np.ndarray
    expression: np.ndarray
    network: np.ndarray | None
