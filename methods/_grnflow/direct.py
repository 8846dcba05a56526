"""Sources that give the latent of a perturbation themselves, where others read maps of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._flow.cells import moments
from methods._flow.randomness import seeded_generator
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.edges import known_regulators
from methods._grnflow.oracle import true_edges, true_regulation
from methods._grnflow.regression import KEPT, NetworkFit, sought
from methods._grnflow.sources import Given

TRUTHS = {"regulation": true_regulation, "edges": true_edges}
"""What the oracle can tell."""


@dataclass(frozen=True)
class DirectSource:
    """Gives latents.

    Attributes
    ----------
    latents
        One latent of each training perturbation, in their order, (perturbations, genes, d), not standardised.
    width
        d, from the configuration and the width of the variant's own latents; None where data decide.
    """

    latents: Callable[[Given], Tensor]
    width: Callable[[GRNFlowConfig, int], int | None]


def oracle(given: Given) -> Tensor:
    """Look up what the simulator knows of the training perturbations: a positive control.

    Raises
    ------
    BenchmarkError
        Where cells are of several contexts, or of no simulated data set.
    """
    if len(given.contexts) > 1:
        raise BenchmarkError(
            "The attention source 'oracle' knows the truth of data with one context, and these have "
            f"{len(given.contexts)}; choose another attention_source."
        )
    return torch.from_numpy(TRUTHS[given.config.oracle_of](given.genes, list(given.perturbed)))


def regression(given: Given) -> Tensor:
    """Sum, for each gene, weight times change of its regulators, in a network fitted to training cells.

    Where there are several contexts the network is fitted in each, and its mean over cells is taken.
    """
    parts = given.within_contexts()
    changes = {label: change for part in parts.values() for label, change in _changes(part).items()}
    shares = [part.cells.shape[0] / given.cells.shape[0] for part in parts.values()]
    weights = sum(share * _network(part) for share, part in zip(shares, parts.values(), strict=True))
    return torch.from_numpy(
        (weights @ np.stack([changes[label] for label in given.perturbed]).T).T[..., None]
    )


def _network(given: Given) -> sparse.csr_array:
    """What a gene changes by when a regulator changes by 1, (genes, genes)."""
    place = {gene: position for position, gene in enumerate(given.genes)}
    own: dict[int, np.ndarray] = {}
    for label, rows in given.perturbed.items():
        for gene in Perturbation.parse(label).genes:
            if gene in place:
                own[place[gene]] = np.append(own.get(place[gene], np.empty(0, dtype=int)), rows)
    prior = given.config.prior_file
    if prior is None:
        return NetworkFit(given.cells, sought(moments(given.cells)[1], own), own, KEPT).weights()
    return NetworkFit(given.cells, known_regulators(Path(prior).expanduser(), given.genes), own).weights()


def _changes(given: Given) -> dict[str, np.ndarray]:
    """Mean change of each condition from the control cells, (genes,)."""
    control = np.asarray(given.control.mean(axis=0, dtype=np.float64)).ravel()
    means = {
        label: given.cells[rows].mean(axis=0, dtype=np.float64) for label, rows in given.perturbed.items()
    }
    return {label: np.asarray(mean).ravel() - control for label, mean in means.items()}


def noise(given: Given) -> Tensor:
    """Draw latents that say nothing, as wide as the variant's own: a negative control."""
    size = (len(given.genes), given.latent)
    return torch.stack(
        [
            torch.randn(size, generator=seeded_generator(given.seed, f"latent of {label}"))
            for label in given.perturbed
        ]
    )


DIRECT: dict[str, DirectSource] = {
    "oracle": DirectSource(oracle, lambda config, _: 1 if config.oracle_of == "regulation" else None),
    "regression": DirectSource(regression, lambda *_: 1),
    "noise": DirectSource(noise, lambda _, own: own),
}
