"""Simulated screens of the same perturbations in several contexts, measured in batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from benchmark.config import parameter
from benchmark.data.simulator.cell import Cell
from benchmark.data.simulator.kinetics import build_kinetics, limit_feedback
from benchmark.data.simulator.network import Network
from benchmark.data.simulator.simulate import (
    SimulatorConfig,
    cell_of,
    draw_counts,
    draw_perturbations,
    noiseless_mean,
)
from benchmark.data.simulator.truth import Truth
from benchmark.perturbation import Perturbation


class ContextsConfig(SimulatorConfig):
    """A simulated screen in several contexts, which share a network and differ in what becomes of it."""

    n_contexts: int = parameter(3, ge=2, le=4, help="Contexts, called C1, C2 and so on.")
    activity_spread: float = parameter(
        0.5, ge=0, le=2, help="Log-scale spread of how active each regulator is in a context."
    )
    rewired: float = parameter(0.15, ge=0, le=1, help="Share of edges that lead elsewhere in a context.")
    base_spread: float = parameter(
        0.7, ge=0, le=2, help="Log-scale spread of unperturbed expression between contexts."
    )
    n_batches: int = parameter(2, ge=1, le=8, help="Batches of each context, called C1B1, C1B2 and so on.")
    batch_spread: float = parameter(
        0.1, ge=0, le=1, help="Log-scale spread of what a batch multiplies the counts of each gene with."
    )


def simulate_contexts(config: ContextsConfig) -> tuple[AnnData, dict[str, Truth]]:
    """Simulate the cells of a screen in several contexts.

    Every context is made of the same shared cell, none is the shared one itself. Contexts, batches and the
    cells of each condition have random streams of their own.

    Returns
    -------
    AnnData
        As `simulate` returns it, one context after the other, with ``obs["context"]`` and ``obs["batch"]``,
        which is drawn for each cell.
    dict
        Context -> its network and noiseless means, without batches; under the empty name the shared network,
        and the means of all conditions, named ``C1::A+B``.
    """
    shared = cell_of(config)
    chosen = draw_perturbations(config, shared.network, np.random.default_rng([config.seed, 1]))
    labels = np.array([str(perturbation) for perturbation in chosen])
    counts, obs, truths = [], [], {}
    for number in range(config.n_contexts):
        name = f"C{number + 1}"
        cell = context_cell(config, shared, np.random.default_rng([config.seed, 3, number]))
        found, about = _cells(config, cell, chosen, number)
        counts.append(found)
        obs.append(about.assign(context=name, batch=name + about["batch"]))
        mean = np.stack([noiseless_mean(config, cell, perturbation) for perturbation in chosen])
        truths[name] = Truth(cell.network, labels, mean)
    conditions = np.array([Perturbation(p.genes, name).label for name in truths for p in chosen])
    means = np.concatenate([each.mean for each in truths.values()])
    table = pd.concat(obs, ignore_index=True)
    adata = AnnData(
        X=sparse.csr_matrix(sparse.vstack(counts, format="csr")),
        obs=table.set_axis([f"cell{row}" for row in range(len(table))]),
        var=pd.DataFrame(index=shared.network.genes.tolist()),
        uns={"modality": config.modality},
    )
    return adata, {"": Truth(shared.network, conditions, means), **truths}


def context_cell(config: ContextsConfig, shared: Cell, rng: np.random.Generator) -> Cell:
    """Draw what becomes of the shared cell in one context.

    Each regulator acts more or less strongly, some edges lead to other genes, and genes have another base
    expression. Thresholds, promoters and the programme of cell state are those of the shared cell.
    """
    network = shared.network
    activity = np.zeros(network.genes.size)
    activity[network.regulators] = rng.normal(0.0, config.activity_spread, network.regulators.size)
    strength = network.strength * np.exp(activity[network.regulator])
    own = rewired(replace(network, strength=strength), config.rewired, rng)
    own = limit_feedback(own, config.hill)
    kinetics = shared.kinetics
    return replace(
        shared,
        network=own,
        kinetics=build_kinetics(own, kinetics.threshold, kinetics.rest, config.hill),
        abundance=shared.abundance * rng.lognormal(0.0, config.base_spread, network.genes.size),
    )


def rewired(network: Network, share: float, rng: np.random.Generator) -> Network:
    """Lead a share of the edges to other genes; no gene regulates itself, and no edge is there twice."""
    target = network.target.copy()
    for edge in np.flatnonzero(rng.random(target.size) < share):
        regulator = network.regulator[edge]
        taken = [*target[network.regulator == regulator], regulator]
        target[edge] = rng.choice(np.setdiff1d(np.arange(network.genes.size), taken))
    return replace(network, target=target)


def _cells(
    config: ContextsConfig, cell: Cell, chosen: list[Perturbation], context: int
) -> tuple[sparse.csr_array, pd.DataFrame]:
    """Draw the cells of one context: counts, and the perturbation and batch of each."""
    seed = (config.seed, 4, context)
    of_batches = np.random.default_rng([*seed, 0])
    shape = (config.n_batches, cell.network.genes.size)
    efficiency = of_batches.lognormal(0.0, config.batch_spread, shape)
    counts, obs = [], []
    for number, perturbation in enumerate(chosen):
        n_cells = config.n_controls if perturbation.is_control else config.cells_per_perturbation
        rng = np.random.default_rng([*seed, 1, number])
        batch = rng.integers(config.n_batches, size=n_cells)
        counts.append(draw_counts(config, cell, perturbation, n_cells, rng, efficiency[batch]))
        batches = [f"B{each + 1}" for each in batch]
        obs.append(pd.DataFrame({"perturbation": str(perturbation), "batch": batches}, dtype=object))
    return sparse.vstack(counts, format="csr"), pd.concat(obs)
