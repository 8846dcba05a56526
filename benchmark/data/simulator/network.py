"""A random gene-regulatory network: sparse, scale-free, signed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REFERENCE_GENES = 200
FEWEST_TARGETS, MOST_TARGETS = 20, 50
OUT_EXPONENT = 2.0
ATTRACTION_EXPONENT = 0.6
UPSTREAM_ATTRACTION = 0.1
ACTIVATOR_SHARE = 0.6
TYPICAL_STRENGTH, STRENGTH_SPREAD = 2.5, 0.8


@dataclass(frozen=True)
class Network:
    """Who regulates whom; edge e is ``regulator[e] -> target[e]``.

    Attributes
    ----------
    genes
        str, (genes,): symbols.
    regulator, target
        int, (edges,): positions in `genes`; no gene regulates itself and no edge is there twice.
    sign
        int, (edges,): +1 where the regulator activates its target, -1 where it represses it.
    strength
        float, (edges,): positive; log-odds that the regulator adds to (or takes from) the activity
        of the target's promoter when all its sites are taken.
    """

    genes: np.ndarray
    regulator: np.ndarray
    target: np.ndarray
    sign: np.ndarray
    strength: np.ndarray

    @property
    def regulators(self) -> np.ndarray:
        """int, (regulators,): the genes with targets, in ascending order."""
        return np.unique(self.regulator)

    def targets(self, gene: str) -> tuple[str, ...]:
        """Return the genes that `gene` regulates directly; none where it is no regulator."""
        return tuple(self.genes[self.target[self.genes[self.regulator] == gene]].tolist())


def target_range(n_genes: int) -> tuple[int, int]:
    """Return the fewest and the most targets of one regulator among `n_genes` genes.

    20 to 50 from 200 genes upwards: the size of a regulon does not grow with how many genes are
    looked at. Below 200 genes both shrink in proportion (2 to 5 of 20 genes), so that the network
    stays as sparse as at 200.
    """
    scale = min(1.0, n_genes / REFERENCE_GENES)
    return round(FEWEST_TARGETS * scale), round(MOST_TARGETS * scale)


def draw_network(n_genes: int, n_regulators: int, rng: np.random.Generator) -> Network:
    """Draw a network whose in- and out-degrees both have heavy tails.

    The number of targets k of a regulator follows a power law, P(k) ~ k^-2, within `target_range`.
    Each gene has an attraction rank^-0.6 and regulators draw their targets without replacement in
    proportion to it: the static model of scale-free networks (Goh, Kahng and Kim, Phys. Rev. Lett.
    87, 278701, 2001), in which in-degrees follow a power law of exponent 1 + 1/0.6. A few genes are
    thus shared by many regulators, where perturbations meet, and many genes have few regulators.
    Regulators form a hierarchy: those upstream of a regulator attract it a tenth as much, so that
    there is feedback, but more feeds forward.

    Parameters
    ----------
    n_genes
        Number of genes, at least 20; they are called G001, G002 and so on.
    n_regulators
        How many of them regulate others.
    rng
        Source of randomness.
    """
    width = max(3, len(str(n_genes)))
    genes = np.array([f"G{number:0{width}d}" for number in range(1, n_genes + 1)])
    hierarchy = rng.choice(n_genes, size=n_regulators, replace=False)
    attraction = rng.permutation(np.arange(1.0, n_genes + 1) ** -ATTRACTION_EXPONENT)
    fewest, most = target_range(n_genes)
    sizes = np.arange(fewest, most + 1)
    chances = sizes**-OUT_EXPONENT
    degree = rng.choice(sizes, size=n_regulators, p=chances / chances.sum())
    target = []
    for rank, size in enumerate(degree):
        weight = attraction.copy()
        weight[hierarchy[:rank]] *= UPSTREAM_ATTRACTION
        weight[hierarchy[rank]] = 0.0
        target.append(np.sort(rng.choice(n_genes, size=size, replace=False, p=weight / weight.sum())))
    n_edges = degree.sum()
    return Network(
        genes=genes,
        regulator=np.repeat(hierarchy, degree),
        target=np.concatenate(target),
        sign=np.where(rng.random(n_edges) < ACTIVATOR_SHARE, 1, -1),
        strength=TYPICAL_STRENGTH * rng.lognormal(0.0, STRENGTH_SPREAD, n_edges),
    )
