"""Latents of training perturbations: of maps that are read, or as a source gives them; standardised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from benchmark.machine.progress import stage
from methods._flow.cells import slices
from methods._grn.attention import AttentionSource
from methods._grn.features import Projection, Standardiser, attention_change, mean_map
from methods._grnflow.config import GRNFlowConfig

ENTRIES_AT_ONCE = 8_000_000
"""Of maps, which bounds how many cells are read together."""
BLOCK = 128
"""Rows of a map that are formed together."""

Pairs = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class MapReader:
    """Reads the maps of rows of cells.

    Attributes
    ----------
    source
        Gives the maps.
    cells
        Training cells, log1p CP10K.
    device
        Where the source works.
    """

    source: AttentionSource
    cells: sparse.csr_matrix
    device: torch.device

    def mean(self, rows: np.ndarray) -> Tensor:
        """Mean map of some cells, (genes, genes)."""
        return mean_map(self.source, self._dense(rows), self._at_once, BLOCK)

    def mean_change(self, control: np.ndarray, perturbed: np.ndarray) -> Tensor:
        """Mean map of perturbed cells minus that of control cells, (genes, genes)."""
        return self.mean(perturbed) - self.mean(control)

    def changes(self, control: np.ndarray, perturbed: np.ndarray, project: Projection) -> Tensor:
        """Latents of pairs of cells, (pairs, genes, d)."""
        return torch.cat(
            [
                attention_change(
                    self.source, self._dense(control[part]), self._dense(perturbed[part]), project, BLOCK
                )
                for part in slices(len(control), self._at_once // 2)
            ]
        )

    @property
    def _at_once(self) -> int:
        return max(1, ENTRIES_AT_ONCE // (BLOCK * self.cells.shape[1]))

    def _dense(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.cells[rows].toarray()).to(self.device)


def training_latents(
    reader: MapReader, pairs: Pairs, project: Projection, config: GRNFlowConfig, seed: int
) -> tuple[Tensor, Standardiser]:
    """Compute the latents of every perturbation.

    Parameters
    ----------
    reader
        Of the training cells.
    pairs
        For each perturbation, rows of control cells and of perturbed cells.
    project
        Reduces a change to latents.
    config
        Whether changes are of cells or of means, and how many are read.
    seed
        Of which pairs are read.

    Returns
    -------
    Tensor
        (perturbations, latents, genes, d), standardised over all of them, float16 on the CPU; one latent
        per perturbation where changes are of means.
    Standardiser
        What they were standardised with.
    """
    rng, wanted = np.random.default_rng(seed), config.latents_per_perturbation
    found = []
    with stage("attention change", len(pairs)) as progress:
        for control, perturbed in pairs.values():
            if config.attention_of == "means":
                latents = project(reader.mean_change(control, perturbed)).unsqueeze(0)
            else:
                # With replacement where there are too few, so that all perturbations have as many.
                chosen = rng.choice(len(control), wanted, replace=len(control) < wanted)
                latents = reader.changes(control[chosen], perturbed[chosen], project)
            found.append(latents.cpu())
            progress.advance()
    return standardised(torch.stack(found))


def standardised(latents: Tensor) -> tuple[Tensor, Standardiser]:
    """Bring latents (perturbations, latents, genes, d) into units in which all have mean 0 and deviation 1.

    Returns
    -------
    Tensor
        The same shape, float16.
    Standardiser
        What they were standardised with.
    """
    flat = latents.flatten(0, 1)
    units = Standardiser.fit(flat)
    return units.apply(flat).half().unflatten(0, latents.shape[:2]), units


def network_of(latent: Tensor, units: Standardiser, project: Projection | None) -> Tensor | None:
    """The change of the map that a latent stands for, (genes, genes): row = gene that reads.

    A latent is a row times the basis, so many rows have the same; this is the shortest of them, by the
    pseudoinverse (Penrose 1955). Where a row was cut to its largest entries before, the cut is not undone.

    Parameters
    ----------
    latent
        Standardised, (genes, d), on the CPU.
    units, project
        As the training latents were made with; no projection where they were not made of maps.

    Returns
    -------
    Tensor or None
        None where there was no map, or signs were dropped: such a latent says how much a gene changes and not
        towards which.
    """
    if project is None or project.magnitude:
        return None
    return (latent * units.deviation + units.mean) @ torch.linalg.pinv(project.basis.cpu())
