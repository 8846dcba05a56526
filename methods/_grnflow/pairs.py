"""Pairs of control and perturbed training cells, from which latents are read and which a flow learns."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from scipy import sparse

from benchmark.perturbation import Perturbation
from methods._grn.pairing import pair_cells, principal_components
from methods._grnflow.config import GRNFlowConfig
from methods._grnflow.latents import Pairs
from methods._trained_flow.rows import controls_by_context, perturbed_rows

COMPONENTS = 30
"""Principal components of all training cells, in which partners are sought."""


def paired_cells(train: AnnData, cells: sparse.csr_matrix, config: GRNFlowConfig, seed: int) -> Pairs:
    """Pair the cells of each condition with control cells of its context.

    Parameters
    ----------
    train
        Says what cells are.
    cells
        The same cells, log1p CP10K.
    config
        How many are paired, and how.
    seed
        Of what is drawn.
    """
    rng = np.random.default_rng(seed)
    scores = principal_components(cells, COMPONENTS, rng)[0]
    groups = perturbed_rows(train)
    context_of = {label: Perturbation.parse(label).context for label in groups}
    pairs: Pairs = {}
    for context, controls in controls_by_context(train).items():
        pairs |= pair_cells(
            scores,
            controls,
            {label: rows for label, rows in groups.items() if context_of[label] == context},
            pairs_per_group=config.pairs_per_perturbation,
            controls_per_group=config.controls_per_perturbation,
            pairing=config.pairing,
            rng=rng,
        )
    return {label: pairs[label] for label in groups}


def by_perturbation(pairs: Pairs) -> Pairs:
    """Put pairs of the same perturbation in several contexts together, in the order of their labels."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for label, rows in pairs.items():
        found.setdefault(str(Perturbation.parse(label)), []).append(rows)
    joined = {label: tuple(map(np.concatenate, zip(*rows, strict=True))) for label, rows in found.items()}
    return {label: (joined[label][0], joined[label][1]) for label in sorted(joined)}
