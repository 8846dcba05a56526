"""The low-rank bilinear model of Ahlmann-Eltze et al. (Nature Methods 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal, Self, TypeVar

import numpy as np
from anndata import AnnData

from benchmark.config import MethodConfig, parameter
from benchmark.perturbation import Perturbation
from methods._pseudobulk import Changes, held_out_changes, mean_changes, reason_if_none
from methods._shift import ShiftMethod

Value = TypeVar("Value")

# The published values come first: they are taken where there is nothing to choose on.
RANKS = (10, 5, 20, 30, 50)
RIDGES = (0.1, 0.01, 1.0, 10.0)
EMBEDDINGS = ("expression", "response")


class LinearConfig(MethodConfig):
    """Rank, ridge penalty and where the embedding of a perturbed gene comes from.

    What is left out is chosen on the validation perturbations.
    """

    rank: int | None = parameter(
        None, ge=1, le=500, search=(2, 100), log=True, help="Dimensions of both embeddings."
    )
    ridge: float | None = parameter(
        None, ge=0, search=(0.001, 100.0), log=True, help="Penalty of the bilinear map; published with 0.1."
    )
    embedding: Literal["expression", "response"] | None = parameter(
        None,
        search=EMBEDDINGS,
        help="Embedding of a perturbed gene: its own row of the gene embedding, as published (expression), "
        "or its mean response in training (response).",
    )


@dataclass(frozen=True)
class Basis:
    """Changes with their mean and principal components, which all candidates share.

    Attributes
    ----------
    changes
        Mean changes of perturbations, (perturbations, genes).
    mean, centred
        Their mean, (genes,), and what is left without it.
    left, sizes
        Left singular vectors of `centred` over genes, (genes, perturbations), and singular values.
    """

    changes: Changes
    mean: np.ndarray
    centred: np.ndarray
    left: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, changes: Changes) -> Self:
        """Decompose changes."""
        mean = changes.mean()
        centred = changes.values - mean
        left, sizes, _ = np.linalg.svd(centred.T, full_matrices=False)
        return cls(changes, mean, centred, left, sizes)


class Linear(ShiftMethod):
    """Mean change = G W p + b, with G from the training changes and p the sum over perturbed genes.

    G holds the leading principal components of the mean training changes over genes, b their mean,
    and W solves min ||Y - b - G W P||^2 + ridge penalties in closed form (Ahlmann-Eltze et al. 2025,
    Methods, "linear model"). As published, the embedding of a perturbed gene is its row of G
    (``expression``), which is zero for a gene that is not measured. Where few perturbed genes are
    measured the other embedding, ``response``, takes the mean training change of the perturbations
    that name the gene, in the coordinates of G. Of several contexts the changes are pooled, and what each
    differs in is added (partial pooling, see docs/transfer.md).
    """

    name = "linear"
    version = "2"
    Config = LinearConfig

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Choose what the configuration leaves open on the validation perturbations, then fit all of them."""
        changes = mean_changes(train, validation)
        panel = list(train.var_names)
        self.know_controls(changes.controls)
        candidates = list(
            product(
                _open(self.config.rank, RANKS),
                _open(self.config.ridge, RIDGES),
                _open(self.config.embedding, EMBEDDINGS),
            )
        )
        best = candidates[0]
        held_out = held_out_changes(train, validation)
        if len(candidates) > 1 and held_out is not None:
            best = self._best(candidates, Basis.of(mean_changes(train)), held_out, panel)
        self._solve(Basis.of(changes), panel, *best)
        self.know_differences(changes)
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a perturbation none of whose genes has an embedding."""
        which = {"expression": "is measured", "response": "was perturbed in training"}[self.embedding_]
        return reason_if_none(perturbation, self.genes_, which)

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return G W p + b."""
        return self.intercept_ + self._coordinates((perturbation,))[0] @ self.map_.T @ self.components_.T

    def _best(
        self, candidates: list[tuple[int, float, str]], train: Basis, held_out: Changes, panel: list[str]
    ) -> tuple[int, float, str]:
        """The candidate of least squared error on the perturbations that are held out."""

        def error(candidate: tuple[int, float, str]) -> float:
            self._solve(train, panel, *candidate)
            predicted = np.stack([self.shift(perturbation) for perturbation in held_out.perturbations])
            return float(np.mean((predicted - held_out.values) ** 2))

        return min(candidates, key=error)

    def _solve(self, basis: Basis, panel: list[str], rank: int, ridge: float, embedding: str) -> None:
        self.rank_, self.ridge_, self.embedding_ = rank, ridge, embedding
        changes, centred, sizes = basis.changes, basis.centred, basis.sizes
        self.intercept_ = basis.mean
        rank = min(rank, int(np.sum(sizes > 1e-10 * sizes[0])) or 1)
        self.components_ = basis.left[:, :rank] * sizes[:rank]
        build = {"expression": _expression_embedding, "response": _response_embedding}[embedding]
        self.genes_, self.gene_embedding_ = build(changes, centred, panel, self.components_)
        targets = self._coordinates(changes.perturbations)
        eye = ridge * np.eye(rank)
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


def _open(value: Value | None, choices: tuple[Value, ...]) -> tuple[Value, ...]:
    """The value that is set, or the choices where none is."""
    return choices if value is None else (value,)


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
