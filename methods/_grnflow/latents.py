"""Latents of training perturbations: the change of attention, projected and standardised."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from benchmark.progress import stage
from methods._grn.attention import AttentionSource
from methods._grn.features import Projection, Standardiser, attention_change, batches, mean_map
from methods._grnflow.config import GRNFlowConfig

ENTRIES_AT_ONCE = 8_000_000
"""Of maps, which bounds how many cells are read together."""

Pairs = dict[str, tuple[np.ndarray, np.ndarray]]


def training_latents(
    source: AttentionSource,
    cells: sparse.csr_matrix,
    pairs: Pairs,
    project: Projection,
    config: GRNFlowConfig,
    seed: int,
) -> Tensor:
    """Compute the latents of every perturbation.

    Parameters
    ----------
    source
        Gives the maps.
    cells
        Training cells, log1p CP10K.
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
    """
    compute = _of_means if config.attention_of == "means" else _of_cells
    rng = np.random.default_rng(seed)
    with stage("attention change", len(pairs)) as progress:
        found = []
        for control, perturbed in pairs.values():
            found.append(compute(source, cells, control, perturbed, project, config, rng).cpu())
            progress.advance()
    latents = torch.stack(found)
    flat = latents.flatten(0, 1)
    return Standardiser.fit(flat).apply(flat).half().unflatten(0, latents.shape[:2])


def mean_changes_of_maps(
    source: AttentionSource, cells: sparse.csr_matrix, pairs: Pairs, device: torch.device
) -> Iterator[tuple[str, np.ndarray]]:
    """Mean map of the perturbed cells minus that of their control cells, (genes, genes), one at a time."""
    for label, (control, perturbed) in pairs.items():
        change = _mean(source, cells, perturbed, device) - _mean(source, cells, control, device)
        yield label, change.cpu().numpy()


def mean_map_of(
    source: AttentionSource, cells: sparse.csr_matrix, rows: np.ndarray, device: torch.device
) -> np.ndarray:
    """Mean map of some cells, (genes, genes)."""
    return _mean(source, cells, rows, device).cpu().numpy()


def _of_cells(
    source: AttentionSource,
    cells: sparse.csr_matrix,
    control: np.ndarray,
    perturbed: np.ndarray,
    project: Projection,
    config: GRNFlowConfig,
    rng: np.random.Generator,
) -> Tensor:
    """Latents of some pairs; drawn with replacement where there are too few, so that all have as many."""
    wanted = config.latents_per_perturbation
    chosen = rng.choice(len(perturbed), wanted, replace=len(perturbed) < wanted)
    device, block = project.basis.device, 128
    latents = []
    for part in batches(wanted, ENTRIES_AT_ONCE // (2 * block * cells.shape[1])):
        sides = (_dense(cells, rows[chosen[part]], device) for rows in (control, perturbed))
        latents.append(attention_change(source, *sides, project, block))
    return torch.cat(latents)


def _of_means(
    source: AttentionSource,
    cells: sparse.csr_matrix,
    control: np.ndarray,
    perturbed: np.ndarray,
    project: Projection,
    config: GRNFlowConfig,
    rng: np.random.Generator,
) -> Tensor:
    """The one latent of the mean maps."""
    device = project.basis.device
    change = _mean(source, cells, perturbed, device) - _mean(source, cells, control, device)
    return project(change).unsqueeze(0)


def _mean(
    source: AttentionSource, cells: sparse.csr_matrix, rows: np.ndarray, device: torch.device
) -> Tensor:
    block = 128
    at_once = max(1, ENTRIES_AT_ONCE // (block * cells.shape[1]))
    return mean_map(source, _dense(cells, rows, device), at_once, block)


def _dense(cells: sparse.csr_matrix, rows: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(cells[rows].toarray()).to(device)
