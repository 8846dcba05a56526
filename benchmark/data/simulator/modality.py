"""How a perturbation acts on the gene it names, and how well it does so in each cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.special import roots_sh_jacobi

CONCENTRATION = 8.0


@dataclass(frozen=True)
class Modality:
    """What becomes of the expression of a perturbed gene: y = factor * production + added.

    Attributes
    ----------
    factor
        What multiplies production at full efficacy; partial efficacy lies linearly between it and 1.
    added
        What is expressed from a construct at full efficacy, in units of unperturbed expression.
    graded
        Whether efficacy has degrees; a knock-out has none: a cell is edited or it is not.
    """

    factor: float = 1.0
    added: float = 0.0
    graded: bool = True

    def act(self, efficacy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the factor and the added expression at each efficacy."""
        return 1.0 + efficacy * (self.factor - 1.0), efficacy * self.added


MODALITIES: Mapping[str, Modality] = MappingProxyType(
    {
        "knock-out": Modality(factor=0.0, graded=False),
        "knock-down": Modality(factor=0.1),
        "CRISPRa": Modality(factor=8.0),
        "over-expression": Modality(added=8.0),
    }
)


@dataclass(frozen=True)
class Efficacy:
    """How efficacy varies between cells: 0 with probability `escape`, else Beta-distributed.

    One value holds for both genes of a double: it is the cell that expresses the effector.

    Attributes
    ----------
    mean
        Mean of the Beta distribution; its two parameters add up to 8.
    escape
        Share of cells in which the perturbation does nothing.
    graded
        False where efficacy is 1 in every cell that does not escape.
    """

    mean: float
    escape: float
    graded: bool

    def draw(self, n_cells: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the efficacy of each cell, (n_cells,)."""
        acts = rng.random(n_cells) >= self.escape
        degree = rng.beta(*self._shape, n_cells) if self.graded else np.ones(n_cells)
        return acts * degree

    def nodes(self, n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return efficacies and weights whose weighted mean is the mean over all cells (Gauss-Jacobi)."""
        degree, weight = np.ones(1), np.ones(1)
        if self.graded:
            alpha, beta = self._shape
            degree, weight = roots_sh_jacobi(n_nodes, alpha + beta - 1.0, alpha)
        weight = (1.0 - self.escape) * weight / weight.sum()
        return np.append(0.0, degree), np.append(self.escape, weight)

    @property
    def _shape(self) -> tuple[float, float]:
        return CONCENTRATION * self.mean, CONCENTRATION * (1.0 - self.mean)
