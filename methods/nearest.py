"""Main effects, with effects of genes that were never perturbed borrowed from their nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from benchmark.config import MethodConfig, parameter
from benchmark.data.priors import gene_sets
from benchmark.perturbation import CONTROL, Perturbation
from methods._effects import own_effects
from methods._pseudobulk import Changes, mean_changes, reason_if_none
from methods._relatives import coexpression, neighbours, responses, shared_terms
from methods._shift import ShiftMethod

if TYPE_CHECKING:
    from anndata import AnnData

Space = Literal["coexpression", "responses", "gene_sets"]
SPACES: tuple[Space, ...] = ("coexpression", "responses", "gene_sets")
NEIGHBOURS = (1, 2, 3, 5, 10, 20)
TRUST = (0.0, 0.25, 0.5, 0.75, 1.0)
FEWEST_SINGLES = 4
"""With fewer nothing is chosen on them, and nothing is borrowed."""


class NearestConfig(MethodConfig):
    """What is chosen on the singles unless it is given, and which gene sets are used."""

    space: Space | None = parameter(
        None,
        search=SPACES,
        help="In what genes are alike: expression over control cells, response to the perturbations of other "
        "genes, or gene sets that both are in.",
    )
    neighbours: int | None = parameter(
        None, ge=1, le=1000, search=(1, 20), log=True, help="Neighbours that a gene borrows from."
    )
    trust: float | None = parameter(
        None, ge=0, le=1, search=(0.0, 1.0), help="Weight of the neighbours; the rest is the mean effect."
    )
    gene_sets: str | None = parameter(
        None,
        help="Prior, such as go_basic, or .gmt file; left out: none. Those of the data's card are not taken "
        "unasked: where they cannot be had, the same configuration would predict something else.",
    )


class Nearest(ShiftMethod):
    """One effect per perturbed gene, and for a gene that was never perturbed what its neighbours do.

    Effects are those of a ridge regression, as in `main_effects`, whose penalty predicts left-out doubles
    best; of singles alone they are the singles' own changes. The effect of an unseen gene is the mean effect,
    moved by `trust` towards the mean over its nearest perturbed genes, weighted by similarity. Similarity is
    one of three: for genes that are measured, correlation over control cells, or of responses over training
    perturbations; or, where gene sets are given, such as the Gene Ontology, their Jaccard's index. A double
    is the intercept plus two effects, seen or borrowed. A perturbation is refused where none of its genes was
    perturbed and none has a neighbour.

    Space, number of neighbours and trust are those of least squared error where each gene that was perturbed
    alone, in training or validation, is predicted from the others: a validation part alone holds too few
    genes to choose on. Where trust is zero nobody helps, and nothing is borrowed. This project's own; that a
    gene's neighbours tell of its perturbation is the idea of GEARS (Roohani et al., Nature Biotechnology
    2023).
    """

    name = "nearest"
    Config = NearestConfig
    config: NearestConfig

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Fit effects, then choose from whom an unseen gene borrows."""
        changes = mean_changes(train, validation)
        effects = own_effects(changes)
        self.know_controls(changes.controls)
        self.intercept_ = effects.intercept
        self.genes_, self.effects_ = effects.names, effects.values
        chosen = self.config.gene_sets
        sets = gene_sets(chosen) if chosen else {}
        asked = sorted({*train.var_names, *self.genes_}.union(*sets.values()))
        spaces = self._similarities(train, changes, sets, asked)
        self.space_, self.neighbours_, self.trust_ = self._best(changes, asked, spaces)
        self._borrow(asked, spaces)
        return self

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a perturbation of whose genes none was perturbed and none has a neighbour that was."""
        known = {*self.genes_, *self.borrowing_}
        return reason_if_none(perturbation, known, "was perturbed in training or is like a gene that was")

    def shift(self, perturbation: Perturbation) -> np.ndarray:
        """Return the intercept plus the effects of the perturbed genes, their own or borrowed."""
        return self.intercept_ + sum(
            (self._effect(gene) for gene in perturbation.genes), np.zeros(len(self.intercept_))
        )

    def _effect(self, gene: str) -> np.ndarray:
        if gene in self.genes_:
            return self.effects_[self.genes_.index(gene)]
        mean = self.effects_.mean(axis=0)
        if gene not in self.borrowing_:
            return mean
        row = self.borrowing_.index(gene)
        return mean + self.trust_ * (self.weights_[row] @ self.effects_[self.lenders_[row]] - mean)

    def _similarities(
        self, train: AnnData, changes: Changes, sets: Mapping[str, frozenset[str]], asked: list[str]
    ) -> dict[Space, np.ndarray]:
        """Similarity of all genes of which something is known to those that were perturbed, by space."""
        control = train[(train.obs["perturbation"] == CONTROL).to_numpy()]
        found: dict[Space, np.ndarray] = {
            "coexpression": coexpression(control, asked, self.genes_),
            "responses": responses(changes, list(train.var_names), asked, self.genes_),
            "gene_sets": shared_terms(sets, asked, self.genes_),
        }
        return found if self.config.space is None else {self.config.space: found[self.config.space]}

    def _best(
        self, changes: Changes, asked: list[str], spaces: Mapping[Space, np.ndarray]
    ) -> tuple[Space, int, float]:
        """The choice of least squared error on singles, each predicted from the effects of others."""
        alone, shifts = changes.of_singles()
        rows = [self.genes_.index(gene) for gene in alone]
        real = shifts - self.intercept_
        trusts = TRUST if self.config.trust is None else (self.config.trust,)
        counts = NEIGHBOURS if self.config.neighbours is None else (self.config.neighbours,)
        if len(rows) < FEWEST_SINGLES:
            return next(iter(spaces)), counts[0], self.config.trust or 0.0
        place = {gene: index for index, gene in enumerate(asked)}
        own = [place[gene] for gene in self.genes_]
        errors: dict[tuple[Space, int, float], float] = {}
        for (space, similarity), k in product(spaces.items(), counts):
            mean, towards = self._from_others(similarity[own], k)
            for trust in trusts:
                wrong = (mean + trust * towards)[rows] - real
                errors[space, k, trust] = float(np.mean(wrong**2))
        return min(errors, key=lambda choice: errors[choice])

    def _from_others(self, similarity: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """For each perturbed gene the mean effect of the others, and from there to its neighbours."""
        others = similarity * (1 - np.eye(len(similarity)))
        lenders, weights = neighbours(others, k)
        mean = (self.effects_.sum(axis=0) - self.effects_) / (len(self.effects_) - 1)
        borrowed = np.einsum("gk,gkm->gm", weights, self.effects_[lenders])
        return mean, np.where(weights.any(axis=1, keepdims=True), borrowed - mean, 0.0)

    def _borrow(self, asked: list[str], spaces: Mapping[Space, np.ndarray]) -> None:
        """Keep the neighbours of every gene that was not perturbed and has some."""
        lenders, weights = neighbours(spaces[self.space_], self.neighbours_)
        perturbed = set(self.genes_)
        rows = [
            row
            for row, gene in enumerate(asked)
            if self.trust_ > 0 and weights[row].any() and gene not in perturbed
        ]
        self.borrowing_ = [asked[row] for row in rows]
        self.lenders_, self.weights_ = lenders[rows], weights[rows]
