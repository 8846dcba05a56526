"""What the simulator knows of its own network, as latents: a positive control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy import sparse

from benchmark.data.cards import list_cards
from benchmark.data.simulator import SimulatorConfig, embedded
from benchmark.data.simulator.cell import Cell
from benchmark.data.simulator.simulate import cell_of, typical_levels
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation

AXES = 16
"""Most axes that the activities of a gene's edges are projected on."""


def true_regulation(genes: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """How much the summed regulation of each gene changes, as log-odds that its promoter is active.

    Parameters
    ----------
    genes
        The panel.
    labels
        Canonical labels of perturbations; of no other one anything is looked up.

    Returns
    -------
    numpy.ndarray
        float64, (perturbations, genes, 1): mean over cells, perturbed minus control.

    Raises
    ------
    BenchmarkError
        Where the cells are of no simulated data set.
    """
    weights, changes = _edges(genes, labels)
    return (weights @ changes.T).T[..., None]


def true_edges(genes: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """How the activity of each edge into a gene changes, on the principal axes of these perturbations.

    The activity of an edge is what it adds to the log-odds. Axes are shared by all genes, so that a number
    means the same in each: a combination of regulators. Parameters and errors as in `true_regulation`.

    Returns
    -------
    numpy.ndarray
        float64, (perturbations, genes, axes).
    """
    weights, changes = _edges(genes, labels)
    return _on_axes(weights, changes, principal_axes(weights, changes, AXES))


Tells = Callable[[Sequence[str]], np.ndarray]
"""Latents, (perturbations, genes, d), of the perturbations that are asked for by label."""


def tells_regulation(genes: Sequence[str], labels: Sequence[str]) -> Tells:
    """Tell `true_regulation` of further perturbations; what was trained on is of no matter."""
    return partial(true_regulation, genes)


def tells_edges(genes: Sequence[str], labels: Sequence[str]) -> Tells:
    """Tell `true_edges` of further perturbations, on the axes of `labels`."""
    axes = principal_axes(*_edges(genes, labels), AXES)
    return lambda asked: _on_axes(*_edges(genes, asked), axes)


def principal_axes(weights: sparse.csr_array, changes: np.ndarray, most: int) -> np.ndarray:
    """Axes, (regulators, axes), on which most of sum of squares of weight_gr * change_pr lies.

    The largest entry of each is positive.
    """
    # Rows (p, g) of that matrix are never formed: their products are products of sums over g and over p.
    _, vectors = np.linalg.eigh((weights.T @ weights).toarray() * (changes.T @ changes))
    axes = vectors[:, ::-1][:, :most]
    return axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])


def _on_axes(weights: sparse.csr_array, changes: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.stack([weights @ (change[:, None] * axes) for change in changes])


def site_changes(config: SimulatorConfig, cell: Cell, labels: Sequence[str]) -> np.ndarray:
    """How many more of its sites each regulator takes, as a share, mean over cells: (labels, regulators)."""
    control = _sites(config, cell, Perturbation())
    return np.stack([_sites(config, cell, Perturbation.parse(label)) - control for label in labels])


def _edges(genes: Sequence[str], labels: Sequence[str]) -> tuple[sparse.csr_array, np.ndarray]:
    """Sign times strength of the edges (genes, regulators), and `site_changes`."""
    config = _simulation_of(genes, labels)
    cell = cell_of(config)
    place = {gene: row for row, gene in enumerate(cell.network.genes.tolist())}
    return cell.kinetics.weights[[place[gene] for gene in genes]], site_changes(config, cell, labels)


def _sites(config: SimulatorConfig, cell: Cell, perturbation: Perturbation) -> np.ndarray:
    """Share of its sites that each regulator takes, mean over cell states and efficacies, (regulators,)."""
    levels, weight = typical_levels(config, cell, perturbation)
    return cell.kinetics.occupancy(levels[cell.kinetics.regulators]) @ weight


def _simulation_of(genes: Sequence[str], labels: Sequence[str]) -> SimulatorConfig:
    """The simulated data set that has these genes and these perturbations."""
    cards = [card for card in list_cards() if card.simulator is not None]
    found = {}
    for card in cards:
        truth = embedded.load_truth(card)
        if set(genes) <= set(truth.network.genes.tolist()) and set(labels) <= set(truth.perturbations):
            found[embedded.recipe(card)] = card
    if len(found) == 1:
        (card,) = found.values()
        return SimulatorConfig.build(settings=card.simulator)
    of = f"several of those ({', '.join(card.name for card in found.values())})" if found else "none of those"
    raise BenchmarkError(
        f"The attention source 'oracle' knows the truth of simulated data sets alone, and these cells "
        f"({len(genes)} genes such as '{genes[0]}', {len(labels)} perturbations such as '{labels[0]}') are "
        f"of {of} that have a card; use it with --dataset simulated, or choose another attention_source."
    )
