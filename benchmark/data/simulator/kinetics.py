"""Saturating transcription kinetics and their steady state, for many conditions at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.special import expit

from benchmark.data.simulator.network import Network
from benchmark.errors import BenchmarkError

LEAK = 0.05
LARGEST_GAIN = 0.4
DAMPING = 0.8
TOLERANCE = 1e-10
MOST_ROUNDS = 1000


@dataclass(frozen=True)
class Kinetics:
    """How fast genes are transcribed, given the levels of their regulators.

    A level y is expression relative to the unperturbed steady state, which is thus 1 for every gene.
    A regulator takes its sites by Hill's law; each one taken shifts the log-odds that the promoter
    is active; and a silent promoter leaks::

        h_r(y) = y^n / (K_r^n + y^n)
        x_i(y) = rest_i + sum over regulators r of sign_ri * strength_ri * (h_r(y_r) - h_r(1))
        F_i(y) = leak + (1 - leak) / (1 + exp(-x_i(y)))

    The logistic response to summed inputs is that of gene circuits (Mjolsness, Sharp and Reinitz,
    J. Theor. Biol. 152, 429, 1991). It ends at the leak below and at 1 above: where one regulator
    has driven a gene there, a second one adds nothing, and in between it adds more than alone.

    Attributes
    ----------
    regulators
        int, (regulators,): positions of the regulators among the genes.
    weights
        CSR, (genes, regulators): sign times strength.
    threshold
        float, (regulators,): K, the level at which half of the sites are taken.
    rest
        float, (genes,): log-odds that the unperturbed promoter is active.
    hill
        n, the cooperativity.
    """

    regulators: np.ndarray
    weights: sparse.csr_array
    threshold: np.ndarray
    rest: np.ndarray
    hill: float

    def production(self, levels: np.ndarray) -> np.ndarray:
        """Return F(y) / F(1), (genes, conditions), from levels y (regulators, conditions)."""
        change = self.weights @ (self.occupancy(levels) - self.occupancy(np.ones((levels.shape[0], 1))))
        rest = self.rest[:, None]
        return _activity(rest + change) / _activity(rest)

    def steady_state(self, factor: np.ndarray, added: np.ndarray) -> np.ndarray:
        """Solve y = factor * F(y) / F(1) + added by damped iteration.

        Only regulators act on others: they are iterated alone, and every gene follows in one step.

        Parameters
        ----------
        factor
            (genes, conditions): multiplies the production of a gene; 0 is a knock-out.
        added
            (genes, conditions): expressed besides, from no promoter of the network.

        Returns
        -------
        numpy.ndarray
            (genes, conditions): levels y.

        Raises
        ------
        BenchmarkError
            When the levels do not settle; after `limit_feedback` they do.
        """
        among = self.regulators
        core = replace(self, weights=self.weights[among], rest=self.rest[among])
        levels = np.ones((among.size, factor.shape[1]))
        for _ in range(MOST_ROUNDS):
            step = factor[among] * core.production(levels) + added[among] - levels
            levels += DAMPING * step
            if np.abs(step).max() <= TOLERANCE:
                return factor * self.production(levels) + added
        raise BenchmarkError(
            f"Simulated expression has not settled after {MOST_ROUNDS} rounds (last change "
            f"{np.abs(step).max():.1e}); weaken the feedback between regulators."
        )

    def occupancy(self, levels: np.ndarray) -> np.ndarray:
        """Share of its sites that each regulator takes, h(y), from levels y, (regulators, conditions)."""
        power = levels**self.hill
        return power / (self.threshold[:, None] ** self.hill + power)


def _activity(log_odds: np.ndarray) -> np.ndarray:
    return LEAK + (1.0 - LEAK) * expit(log_odds)


def build_kinetics(network: Network, threshold: np.ndarray, rest: np.ndarray, hill: float) -> Kinetics:
    """Arrange a network for computation; see `Kinetics` for what the numbers mean.

    Parameters
    ----------
    network
        Genes and edges.
    threshold
        float, (regulators,): K of each of ``network.regulators``.
    rest
        float, (genes,): log-odds of the unperturbed promoters.
    hill
        n, the cooperativity.
    """
    return Kinetics(network.regulators, _matrix(network, network.sign), threshold, rest, hill)


def limit_feedback(network: Network, hill: float) -> Network:
    """Weaken the edges between regulators, all by one factor, until they have one steady state.

    On the logarithmic scale one edge passes on at most g = strength * n/4 * a of a change, where n/4
    bounds dh / d log y and a = (sqrt(1 + q) - 1) / (sqrt(1 + q) + 1), q = (1 - leak) / leak, bounds
    d log F / dx. If the matrix of all g among the regulators has spectral radius below 1, the map of
    `Kinetics.steady_state` is a contraction in a weighted maximum norm of log y (Perron-Frobenius),
    whatever multiplies or is added to a gene. The radius is bounded from above as Collatz and
    Wielandt do. Edges into genes without targets are in no loop and stay as they are.

    Parameters
    ----------
    network
        The network as drawn.
    hill
        n, the cooperativity.
    """
    regulators = network.regulators
    root = np.sqrt(1.0 / LEAK)
    steepest = hill / 4.0 * (root - 1.0) / (root + 1.0)
    radius = _spectral_bound(steepest * _matrix(network, np.ones(network.sign.size))[regulators])
    if radius <= LARGEST_GAIN:
        return network
    inner = np.isin(network.target, regulators)
    return replace(network, strength=np.where(inner, LARGEST_GAIN / radius, 1.0) * network.strength)


def _matrix(network: Network, sign: np.ndarray) -> sparse.csr_array:
    column = np.searchsorted(network.regulators, network.regulator)
    shape = (network.genes.size, network.regulators.size)
    return sparse.csr_array((sign * network.strength, (network.target, column)), shape=shape)


def _spectral_bound(matrix: sparse.csr_array, rounds: int = 100) -> float:
    """Bound the spectral radius of a non-negative matrix: max of (Mv)_i / v_i, for any positive v."""
    vector = np.ones(matrix.shape[0])
    for _ in range(rounds):
        vector += matrix @ vector
        vector /= vector.max()
    return float((matrix @ vector / vector).max())
