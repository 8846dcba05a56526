"""Simulated single-cell perturbation screens."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import model_validator
from scipy import sparse

from benchmark.config import MethodConfig, parameter
from benchmark.data.simulator.cell import Cell, draw_cell
from benchmark.data.simulator.modality import MODALITIES, Efficacy, Modality
from benchmark.data.simulator.network import Network
from benchmark.data.simulator.truth import Truth
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation

REGULATORS_AMONG_PERTURBED = 0.9
EFFICACY_NODES, STATE_NODES = 8, 21


class SimulatorConfig(MethodConfig):
    """Size and biology of a simulated screen; `SimulatorConfig.build` explains bad values in a sentence."""

    seed: int = parameter(0, ge=0, help="Source of all that is random: network, perturbations, cells.")
    n_genes: int = parameter(200, ge=20, le=20_000, help="Genes, all of them measured.")
    n_singles: int = parameter(60, ge=2, help="Genes perturbed alone, nine in ten of them regulators.")
    n_doubles: int = parameter(60, ge=0, help="Pairs of those genes perturbed together.")
    cells_per_perturbation: int = parameter(50, ge=2, help="Cells of each perturbation.")
    n_controls: int = parameter(500, ge=2, help="Cells without perturbation.")
    modality: Literal["knock-out", "knock-down", "CRISPRa", "over-expression"] = parameter(
        "CRISPRa", help="What is done to the perturbed genes."
    )
    efficacy: float = parameter(0.7, gt=0, lt=1, help="Mean efficacy in cells that do not escape.")
    escape: float = parameter(0.05, ge=0, lt=1, help="Share of perturbed cells in which nothing happens.")
    regulator_share: float = parameter(0.25, gt=0, le=0.5, help="Share of genes that regulate others.")
    hill: float = parameter(2.0, ge=1, le=4, help="Cooperativity of regulators (Hill coefficient).")
    state_strength: float = parameter(
        0.3, ge=0, le=1, help="Spread of the log-scale effects of cell state on the programme's genes."
    )
    depth: float = parameter(3000.0, ge=100, le=1e6, help="Median counts per cell.")
    depth_spread: float = parameter(0.35, ge=0, le=1, help="Log-scale standard deviation of depth.")
    dispersion: float = parameter(0.1, gt=0, le=10, help="Negative-binomial d in variance = m + d m^2.")

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if self.n_singles > self.n_genes:
            raise BenchmarkError(
                f"{self.n_singles} of {self.n_genes} genes cannot be perturbed; "
                "lower 'n_singles' or raise 'n_genes'."
            )
        pairs = self.n_singles * (self.n_singles - 1) // 2
        if self.n_doubles > pairs:
            raise BenchmarkError(
                f"{self.n_singles} perturbed genes form {pairs} pairs, but {self.n_doubles} doubles were "
                "asked for; lower 'n_doubles' or raise 'n_singles'."
            )
        return self

    @property
    def n_regulators(self) -> int:
        """How many genes regulate others, at least two."""
        return max(2, round(self.regulator_share * self.n_genes))


def simulate(config: SimulatorConfig) -> tuple[AnnData, Truth]:
    """Simulate the cells of a screen.

    What all cells share, the choice of perturbations and the cells of each perturbation have random
    streams of their own.

    Parameters
    ----------
    config
        Size, biology and seed.

    Returns
    -------
    AnnData
        X: counts, float32 CSR (cells, genes); ``obs["perturbation"]``: ``control``, ``A`` or ``A+B``;
        ``uns["modality"]``. Controls first, then singles, then doubles, each in alphabetical order.
    Truth
        The network and the noiseless means, for evaluation only.
    """
    cell = cell_of(config)
    chosen = draw_perturbations(config, cell.network, np.random.default_rng([config.seed, 1]))
    n_cells = [config.n_controls if p.is_control else config.cells_per_perturbation for p in chosen]
    counts = [
        draw_counts(config, cell, perturbation, size, np.random.default_rng([config.seed, 2, number]))
        for number, (perturbation, size) in enumerate(zip(chosen, n_cells, strict=True))
    ]
    labels = np.array([str(perturbation) for perturbation in chosen])
    adata = AnnData(
        X=sparse.csr_matrix(sparse.vstack(counts, format="csr")),
        obs=pd.DataFrame(
            {"perturbation": np.repeat(labels, n_cells).astype(object)},
            index=[f"cell{number}" for number in range(sum(n_cells))],
        ),
        var=pd.DataFrame(index=cell.network.genes.tolist()),
        uns={"modality": config.modality},
    )
    mean = np.stack([noiseless_mean(config, cell, perturbation) for perturbation in chosen])
    return adata, Truth(cell.network, labels, mean)


def cell_of(config: SimulatorConfig) -> Cell:
    """Draw what all cells of a screen share."""
    rng = np.random.default_rng([config.seed, 0])
    return draw_cell(config.n_genes, config.n_regulators, config.hill, config.state_strength, rng)


def typical_levels(
    config: SimulatorConfig, cell: Cell, perturbation: Perturbation
) -> tuple[np.ndarray, np.ndarray]:
    """Levels of genes in cells of typical states (Gauss-Hermite) and efficacies.

    Returns
    -------
    tuple
        Levels, (genes, cells), and the weight of each cell in a mean over cells, (cells,).
    """
    modality, spread = _action(config)
    state, efficacy, weight = _typical_cells(spread)
    return cell.levels(perturbation, modality, state, efficacy), weight


def draw_perturbations(
    config: SimulatorConfig, network: Network, rng: np.random.Generator
) -> list[Perturbation]:
    """Draw mostly regulators, and pairs in proportion to 1 + the square of their shared targets.

    Screens combine genes that are thought to act on the same processes, and there doubles are
    least additive.
    """
    regulators = rng.permutation(network.regulators)
    others = rng.permutation(np.setdiff1d(np.arange(config.n_genes), regulators))
    wanted = round(REGULATORS_AMONG_PERTURBED * config.n_singles)
    n_regulators = min(max(wanted, config.n_singles - others.size), regulators.size)
    perturbed = np.sort(np.append(regulators[:n_regulators], others[: config.n_singles - n_regulators]))
    edges = (np.ones(network.target.size), (network.regulator, network.target))
    acts_on = sparse.csr_array(edges, shape=(config.n_genes, config.n_genes))[perturbed]
    first, second = np.triu_indices(config.n_singles, k=1)
    weight = 1.0 + (acts_on @ acts_on.T).toarray()[first, second] ** 2
    pairs = np.sort(rng.choice(first.size, config.n_doubles, replace=False, p=weight / weight.sum()))
    names = network.genes[perturbed].tolist()
    return [
        Perturbation(),
        *(Perturbation((name,)) for name in names),
        *(Perturbation((names[first[pair]], names[second[pair]])) for pair in pairs),
    ]


def draw_counts(
    config: SimulatorConfig,
    cell: Cell,
    perturbation: Perturbation,
    n_cells: int,
    rng: np.random.Generator,
    efficiency: np.ndarray | None = None,
) -> sparse.csr_array:
    """Draw counts as Poisson around a gamma-distributed rate, which is the negative binomial.

    `efficiency` is what the batch of each cell multiplies the rate of each gene with, (cells, genes).
    """
    modality, spread = _action(config)
    state = rng.standard_normal(n_cells)
    efficacy = spread.draw(n_cells, rng)
    depth = config.depth * rng.lognormal(0.0, config.depth_spread, (n_cells, 1))
    mean = depth * cell.proportions(perturbation, modality, state, efficacy)
    rate = mean * rng.gamma(1.0 / config.dispersion, config.dispersion, mean.shape)
    rate = rate if efficiency is None else rate * efficiency
    return sparse.csr_array(rng.poisson(_six_digits(rate)).astype(np.float32))


def _six_digits(values: np.ndarray) -> np.ndarray:
    """Round to 20 bits, six digits, by exact operations.

    The last bit of exp() on another processor must not change a count.
    """
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2**20), exponent - 20)


def noiseless_mean(config: SimulatorConfig, cell: Cell, perturbation: Perturbation) -> np.ndarray:
    """Average proportions over cell state (Gauss-Hermite) and efficacy, then log1p per 10,000."""
    modality, spread = _action(config)
    state, efficacy, weight = _typical_cells(spread)
    return np.log1p(1e4 * (weight @ cell.proportions(perturbation, modality, state, efficacy)))


def _typical_cells(spread: Efficacy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States, efficacies and weights of cells over which means are taken, (cells,)."""
    state, state_weight = np.polynomial.hermite_e.hermegauss(STATE_NODES)
    efficacy, efficacy_weight = spread.nodes(EFFICACY_NODES)
    states, efficacies = np.meshgrid(state, efficacy, indexing="ij")
    weight = np.outer(state_weight / state_weight.sum(), efficacy_weight)
    return states.ravel(), efficacies.ravel(), weight.ravel()


def _action(config: SimulatorConfig) -> tuple[Modality, Efficacy]:
    modality = MODALITIES[config.modality]
    return modality, Efficacy(config.efficacy, config.escape, modality.graded)
