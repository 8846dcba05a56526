"""The cell that a simulated screen is made of: its network, kinetics, abundances and states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.data.simulator.kinetics import Kinetics, build_kinetics, limit_feedback
from benchmark.data.simulator.modality import Modality
from benchmark.data.simulator.network import Network, draw_network
from benchmark.perturbation import Perturbation

THRESHOLD_SPREAD = 0.5
TYPICAL_REST, REST_SPREAD = -0.5, 1.0
ABUNDANCE_SPREAD = 1.0
PROGRAMME_SHARE = 0.2


@dataclass(frozen=True)
class Cell:
    """What all simulated cells of a screen have in common.

    Attributes
    ----------
    network, kinetics
        Who regulates whom, and what follows from it.
    abundance
        float, (genes,): unperturbed expression, in any unit.
    programme
        float, (genes,): log-scale effect of one unit of cell state on production; most are 0.
    """

    network: Network
    kinetics: Kinetics
    abundance: np.ndarray
    programme: np.ndarray

    def levels(
        self, perturbation: Perturbation, modality: Modality, state: np.ndarray, efficacy: np.ndarray
    ) -> np.ndarray:
        """Return steady-state levels relative to the unperturbed cell, (genes, cells).

        Parameters
        ----------
        perturbation
            The perturbed genes.
        modality
            What is done to them.
        state
            float, (cells,): where each cell is along the programme; 0 is typical.
        efficacy
            float, (cells,): how well each cell is perturbed, 0 to 1.
        """
        factor = np.exp(self.programme[:, None] * state)
        added = np.zeros_like(factor)
        perturbed = np.isin(self.network.genes, perturbation.genes)
        times, plus = modality.act(efficacy)
        factor[perturbed] *= times
        added[perturbed] += plus
        return self.kinetics.steady_state(factor, added)

    def proportions(
        self, perturbation: Perturbation, modality: Modality, state: np.ndarray, efficacy: np.ndarray
    ) -> np.ndarray:
        """Return the share of each gene in the transcripts of a cell, (cells, genes); see `levels`."""
        expression = self.abundance * self.levels(perturbation, modality, state, efficacy).T
        return expression / expression.sum(axis=1, keepdims=True)


def draw_cell(
    n_genes: int, n_regulators: int, hill: float, state_strength: float, rng: np.random.Generator
) -> Cell:
    """Draw a network and everything else that the cells of a screen share.

    Parameters
    ----------
    n_genes, n_regulators
        How many genes, and how many of them regulate others.
    hill
        Cooperativity of the regulators.
    state_strength
        Standard deviation of the programme's log-scale effects; a fifth of the genes take part.
    rng
        Source of randomness.
    """
    network = limit_feedback(draw_network(n_genes, n_regulators, rng), hill)
    threshold = rng.lognormal(0.0, THRESHOLD_SPREAD, n_regulators)
    rest = rng.normal(TYPICAL_REST, REST_SPREAD, n_genes)
    in_programme = rng.random(n_genes) < PROGRAMME_SHARE
    return Cell(
        network=network,
        kinetics=build_kinetics(network, threshold, rest, hill),
        abundance=rng.lognormal(0.0, ABUNDANCE_SPREAD, n_genes),
        programme=in_programme * rng.normal(0.0, state_strength, n_genes),
    )
