"""The regulatory network that rankings are held against: the simulator's, or a list of known edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.cards import DatasetCard
from benchmark.data.download import nearby, sha256_of
from benchmark.data.priors import ENDS, read_edges
from benchmark.data.simulator import embedded
from benchmark.errors import BenchmarkError

PRIOR = "collectri.csv"
"""Where no file is named: CollecTRI (Mueller-Dott et al., Nucleic Acids Res. 51, 10934, 2023)."""

REACH: dict[str, int | None] = {"direct targets": 1, "within two steps": 2, "reachable": None}
"""How many edges lie at most between a perturbed gene and its targets; None sets no limit."""

CURATED_REACH = ("direct targets", "within two steps")


@dataclass(frozen=True, eq=False)
class KnownEdges:
    """A regulatory network by names of genes.

    Attributes
    ----------
    regulator, target
        Names, (edges,); an edge may be there twice, and genes may regulate themselves.
    origin
        Where it comes from, for people.
    digest
        SHA-256 of the file, or the recipe of the simulation.
    reach
        Which of `REACH` are asked about. A curated list lacks edges, and the more steps a path has, the
        more of them are missing; only the simulator's network is followed to its ends.
    """

    regulator: Sequence[str]
    target: Sequence[str]
    origin: str
    digest: str
    reach: tuple[str, ...]

    def among(self, genes: Sequence[str]) -> TrueNetwork:
        """Keep the edges between measured genes."""
        place = {gene: position for position, gene in enumerate(genes)}
        edge = np.zeros((len(genes), len(genes)), dtype=bool)
        for regulator, target in zip(self.regulator, self.target, strict=True):
            if regulator in place and target in place:
                edge[place[target], place[regulator]] = True
        np.fill_diagonal(edge, False)
        return TrueNetwork(edge)


@dataclass(frozen=True, eq=False)
class TrueNetwork:
    """A regulatory network of measured genes.

    Attributes
    ----------
    edge
        bool, (genes, genes): row = target, column = regulator, as in a map of attention; no gene regulates
        itself.
    """

    edge: np.ndarray

    @property
    def regulators(self) -> np.ndarray:
        """int, (regulators,): positions of the genes with targets."""
        return np.flatnonzero(self.edge.any(axis=0))

    def downstream(self, perturbed: np.ndarray, steps: int | None = None) -> np.ndarray:
        """Find what a perturbation can reach along edges.

        Parameters
        ----------
        perturbed
            int, positions of the perturbed genes.
        steps
            Edges from a perturbed gene to its target at most; None sets no limit.

        Returns
        -------
        numpy.ndarray
            bool, (genes,); the perturbed genes themselves are not in it.
        """
        reached = np.zeros(len(self.edge), dtype=bool)
        reached[perturbed] = True
        front, taken = reached.copy(), 0
        while front.any() and (steps is None or taken < steps):
            front = self.edge[:, front].any(axis=1) & ~reached
            reached |= front
            taken += 1
        reached[perturbed] = False
        return reached


def known_edges(card: DatasetCard, file: Path | None = None) -> KnownEdges:
    """Return the network behind a data set; for evaluation only.

    Parameters
    ----------
    card
        A simulated data set has its truth; for others, ``collectri.csv`` is looked for where the files of
        data sets are.
    file
        A list of edges that goes before both.

    Raises
    ------
    BenchmarkError
        When there is none, or it cannot be read.
    """
    if file is None and card.simulator is not None:
        network = embedded.load_truth(card).network
        regulator, target = (network.genes[ends].tolist() for ends in (network.regulator, network.target))
        return KnownEdges(regulator, target, "the simulator", embedded.recipe(card), tuple(REACH))
    path = file or nearby(DatasetCard(name=Path(PRIOR).stem, local_file=PRIOR))
    if path is None:
        raise BenchmarkError(
            f"No regulatory network is known for dataset '{card.name}'; name a CSV file of edges with "
            f"--edges, or put {PRIOR} into a folder and name that folder in BENCHMARK_DATA."
        )
    table = read_edges(path)
    regulator, target = (table[column].tolist() for column in ENDS)
    return KnownEdges(regulator, target, path.name, sha256_of(path), CURATED_REACH)
