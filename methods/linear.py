"""The low-rank bilinear model of Ahlmann-Eltze et al. (Nature Methods 2025)."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from anndata import AnnData

from benchmark.config import MethodConfig, parameter
from benchmark.perturbation import Perturbation
from methods._pseudobulk import Changes, mean_changes
from methods._shift import MeanMethod

EMBEDDINGS = ("expression", "response")


class LinearConfig(MethodConfig):
    """Rank, ridge penalty and where the embedding of a perturbed gene comes from."""

    rank: int = parameter(10, ge=1, le=500, search=(2, 50), log=True, help="Dimensions of both embeddings.")
    ridge: float = parameter(0.1, ge=0, search=(0.001, 10.0), log=True, help="Penalty of the bilinear map.")
    embedding: Literal["auto", "expression", "response"] = parameter(
        "auto",
        search=("expression", "response"),
        help="Embedding of a perturbed gene: its own row of the gene embedding (expression), its mean "
        "response in training (response), or the better of both on the validation perturbations (auto).",
    )


class Linear(MeanMethod):
    """Mean change = G W p + b, with G from the training changes and p the sum over perturbed genes.

    G holds the leading principal components of the mean training changes over genes, b their mean,
    and W solves min ||Y - b - G W P||^2 + ridge penalties in closed form (Ahlmann-Eltze et al. 2025,
    Methods, "linear model"). As published, the embedding of a perturbed gene is its row of G
    (``expression``), which is zero for a gene that is not measured. Where few perturbed genes are
    measured the other embedding, ``response``, takes the mean training change of the perturbations
    that name the gene, in the coordinates of G.
    """

    name = "linear"
    Config = LinearConfig

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Choose the embedding on the validation perturbations, then fit all of them."""
        changes = mean_changes(train, validation)
        panel = list(train.var_names)
        self.control_mean_ = changes.control_mean
        self.embedding_ = self.config.embedding
        if self.embedding_ == "auto":
            self.embedding_ = self._best_embedding(mean_changes(train), changes, panel)
        self._solve(changes, panel, self.embedding_)
        return self

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return G W p + b."""
        return self.intercept_ + self._coordinates((perturbation,))[0] @ self.map_.T @ self.components_.T

    def _best_embedding(self, train: Changes, everything: Changes, panel: list[str]) -> str:
        known = set(train.perturbations)
        rows = [row for row, p in enumerate(everything.perturbations) if p not in known]

        def error(embedding: str) -> float:
            self._solve(train, panel, embedding)
            predicted = np.stack([self.shift(everything.perturbations[row]) for row in rows])
            return float(np.mean((predicted - everything.values[rows]) ** 2))

        return min(EMBEDDINGS, key=error) if rows else EMBEDDINGS[0]

    def _solve(self, changes: Changes, panel: list[str], embedding: str) -> None:
        self.intercept_ = changes.mean()
        centred = changes.values - self.intercept_
        left, sizes, _ = np.linalg.svd(centred.T, full_matrices=False)
        rank = min(self.config.rank, int(np.sum(sizes > 1e-10 * sizes[0])) or 1)
        self.components_ = left[:, :rank] * sizes[:rank]
        build = {"expression": _expression_embedding, "response": _response_embedding}[embedding]
        self.genes_, self.gene_embedding_ = build(changes, centred, panel, self.components_)
        targets = self._coordinates(changes.perturbations)
        eye = self.config.ridge * np.eye(rank)
        inner = np.linalg.lstsq(
            self.components_.T @ self.components_ + eye, self.components_.T @ centred.T, rcond=None
        )[0]
        self.map_ = np.linalg.lstsq(targets.T @ targets + eye, (inner @ targets).T, rcond=None)[0].T

    def _coordinates(self, perturbations: tuple[Perturbation, ...]) -> np.ndarray:
        """Sum of the embeddings of the perturbed genes, (perturbations, rank); zero where unknown."""
        row = {gene: index for index, gene in enumerate(self.genes_)}
        coordinates = np.zeros((len(perturbations), self.gene_embedding_.shape[1]))
        for index, perturbation in enumerate(perturbations):
            for gene in perturbation.genes:
                if gene in row:
                    coordinates[index] += self.gene_embedding_[row[gene]]
        return coordinates


def _expression_embedding(
    changes: Changes, centred: np.ndarray, panel: list[str], components: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """Each measured gene's row of G."""
    return panel, components


def _response_embedding(
    changes: Changes, centred: np.ndarray, panel: list[str], components: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """Mean training change of the perturbations that name the gene, in coordinates of G."""
    genes = changes.genes
    scores = centred @ np.linalg.pinv(components).T
    named = [[row for row, p in enumerate(changes.perturbations) if gene in p.genes] for gene in genes]
    return genes, np.stack([scores[rows].mean(axis=0) for rows in named])
