"""What the simulator knows and no method may see."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.data.simulator.network import Network
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import replacing


@dataclass(frozen=True)
class Truth:
    """The network behind simulated cells and the noiseless mean of each perturbation.

    It lives in its own file, which evaluation opens: nothing of it is in the AnnData, and no method,
    split or preparation step reads it, but for one part that is offered under a name of its own, the
    gene sets `simulated_modules` (`benchmark.data.priors`).

    Attributes
    ----------
    network
        The genes and the edges with their signs and strengths.
    perturbations
        str, (perturbations,): canonical labels, ``control`` first.
    mean
        float64, (perturbations, genes): log1p of 10,000 times the mean proportion of each gene, over
        all cell states and efficacies, without count noise. It is the logarithm of a mean, not the
        mean of logarithms: compare it with log1p of cells pooled, not with cells averaged after log1p.
    """

    network: Network
    perturbations: np.ndarray
    mean: np.ndarray

    @property
    def modules(self) -> dict[str, tuple[str, ...]]:
        """The direct targets of each regulator."""
        genes = self.network.genes
        return {gene: self.network.targets(gene) for gene in genes[self.network.regulators].tolist()}

    def save(self, path: Path) -> None:
        """Write one npz file without pickled objects; the file is whole or it is not there."""
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez_compressed(file, **vars(self.network), perturbations=self.perturbations, mean=self.mean)

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Read what `save` wrote.

        Raises
        ------
        BenchmarkError
            When the file is missing, damaged or something else.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                content = dict(arrays)
            rest = {name: content.pop(name) for name in ("perturbations", "mean")}
            return cls(Network(**content), **rest)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise BenchmarkError(
                f"{path} cannot be read as the truth of a simulation ({error}); simulate the data again."
            ) from error
