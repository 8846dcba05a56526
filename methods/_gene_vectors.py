"""What describes a perturbed gene to a hosted model: a column of its own, or a vector."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.sparse import csr_matrix

from benchmark.config import parameter
from benchmark.data.priors import gene_sets, suited
from benchmark.errors import BenchmarkError
from benchmark.hosting.method import HostedConfig, SubprocessMethod
from benchmark.perturbation import CONTROL, Perturbation

if TYPE_CHECKING:
    from anndata import AnnData

COEXPRESSION, GENE_SETS = "coexpression", "gene_sets"
SHOWN = 3
"""Genes that a message names before it says how many more there are."""


class DescribedConfig(HostedConfig):
    """How a perturbed gene is described to the model."""

    gene_vectors: str = parameter(
        "",
        help="What describes a perturbed gene. Empty: a column of its own, so that genes that no training "
        "perturbation names are refused. coexpression: principal axes of the correlations over training "
        "control "
        "cells. gene_sets: principal axes of the sets that it is in. Else a CSV file without a header, one "
        "line "
        "per gene: symbol, then its numbers.",
    )
    vector_size: int = parameter(
        32, ge=1, le=4096, help="Numbers that describe a gene, where they are principal axes."
    )
    gene_sets: str = parameter(
        "", help="Prior, or .gmt file, for gene_vectors=gene_sets; empty: the one that the data's card names."
    )


class DescribedMethod(SubprocessMethod):
    """A hosted method to which perturbed genes are vectors.

    Attributes
    ----------
    genes_
        Genes that have a vector, in alphabetical order.
    vectors_
        float32, (genes, numbers).
    """

    Config = DescribedConfig
    config: DescribedConfig
    genes_: list[str]
    vectors_: np.ndarray

    def fit(self, train: AnnData, validation: AnnData) -> Self:
        """Describe genes, then have the worker learn from the cells."""
        self.genes_, self.vectors_ = describe(train, self.config)
        return super().fit(train, validation)

    def about(self, train: AnnData, validation: AnnData) -> dict[str, Any]:
        """Say the vectors of genes that are perturbed: ``vectors``, gene -> numbers."""
        labels = [*train.obs["perturbation"].unique(), *validation.obs["perturbation"].unique()]
        return {"vectors": self._described({gene for label in labels for gene in genes_of(label)})}

    def asked(self, perturbations: Sequence[Perturbation]) -> dict[str, Any]:
        """Say the vectors of genes that are asked about, as `about` does."""
        return {"vectors": self._described({gene for each in perturbations for gene in each.genes})}

    def unsupported(self, perturbation: Perturbation) -> str | None:
        """Refuse a gene that nothing describes."""
        self.require_fitted()
        unknown = sorted(set(perturbation.genes).difference(self.genes_))
        if not unknown:
            return None
        genes, chosen = " and ".join(unknown), self.config.gene_vectors
        if not chosen:
            return (
                f"no training perturbation names {genes}, so {self.name} has learned nothing of it; describe "
                "genes with --set gene_vectors=gene_sets, coexpression or FILE"
            )
        return f"gene_vectors={chosen} has no vector of {genes}"

    def _described(self, genes: Collection[str]) -> dict[str, list[float]]:
        """Vectors of those genes that have one."""
        row = {gene: index for index, gene in enumerate(self.genes_)}
        return {gene: self.vectors_[row[gene]].tolist() for gene in sorted(row.keys() & set(genes))}


def describe(train: AnnData, config: DescribedConfig) -> tuple[list[str], np.ndarray]:
    """Give genes vectors.

    Parameters
    ----------
    train
        Control cells and the cells of the training perturbations.
    config
        What vectors are wanted.

    Returns
    -------
    tuple
        Genes in alphabetical order and their vectors, float32, (genes, numbers).

    Raises
    ------
    BenchmarkError
        When vectors cannot be had, or a training perturbation names a gene without one.
    """
    perturbed = {gene for label in train.obs["perturbation"].unique() for gene in genes_of(label)}
    if not config.gene_vectors:
        return sorted(perturbed), np.eye(len(perturbed), dtype=np.float32)
    if config.gene_vectors == COEXPRESSION:
        vectors = coexpression_vectors(train, config.vector_size)
    elif config.gene_vectors == GENE_SETS:
        of_card = train.uns.get("gene_sets", "")
        if not (config.gene_sets or of_card):
            raise BenchmarkError(
                "gene_vectors=gene_sets needs gene sets, and the card of the data names none; choose some "
                "with "
                "`--set gene_sets=NAME`, or the path of a .gmt file."
            )
        vectors = set_vectors(gene_sets(config.gene_sets or suited(of_card)), config.vector_size)
    else:
        vectors = read_vectors(Path(config.gene_vectors))
    require_all(perturbed, vectors, f"gene_vectors={config.gene_vectors}")
    genes = sorted(vectors)
    return genes, np.stack([vectors[gene] for gene in genes]).astype(np.float32)


def coexpression_vectors(train: AnnData, size: int) -> dict[str, np.ndarray]:
    """Principal axes of Pearson correlations over control cells, each gene's of length 1.

    Genes that do not vary have none.
    """
    control = (
        csr_matrix(train.X[(train.obs["perturbation"] == CONTROL).to_numpy()]).toarray().astype(np.float64)
    )
    deviation = control.std(axis=0)
    varies = deviation > 0
    scores = (control[:, varies] - control[:, varies].mean(axis=0)) / deviation[varies]
    return _axes(csr_matrix(scores.T), list(np.array(train.var_names)[varies]), size)


def set_vectors(sets: Mapping[str, Collection[str]], size: int) -> dict[str, np.ndarray]:
    """Principal axes of memberships in gene sets, each gene's of length 1.

    A set counts by the inverse square root of its size, so that the largest do not decide alone.
    """
    genes = sorted(set().union(*sets.values()))
    row = {gene: index for index, gene in enumerate(genes)}
    places = [(row[gene], column) for column, members in enumerate(sets.values()) for gene in members]
    rows, columns = np.array(places).T
    sizes = np.bincount(columns)
    return _axes(csr_matrix((sizes[columns] ** -0.5, (rows, columns))), genes, size)


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """Read a file of gene vectors.

    Parameters
    ----------
    path
        CSV without a header, one line per gene: symbol, then as many finite numbers as in every other line.

    Raises
    ------
    BenchmarkError
        When the file is missing or not of this form.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = {number: line for number, line in enumerate(csv.reader(file), 1) if line}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BenchmarkError(
            f"The gene vectors in {path} cannot be read ({reason}); check the file."
        ) from error
    vectors: dict[str, np.ndarray] = {}
    for number, (gene, *texts) in lines.items():
        if gene in vectors:
            raise BenchmarkError(f"{path}, line {number}: {gene} has a vector already; keep one of them.")
        vectors[gene] = _numbers(path, number, texts)
    widths = sorted({len(vector) for vector in vectors.values()})
    if len(widths) != 1:
        found = f"{widths[0]} to {widths[-1]} numbers" if widths else "no line"
        raise BenchmarkError(f"{path} holds {found} for a gene; give every gene equally many numbers.")
    return vectors


def require_all(needed: Set[str], vectors: Collection[str], source: object) -> None:
    """Refuse vectors that leave out a gene of a training perturbation."""
    missing = sorted(needed.difference(vectors))
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise BenchmarkError(
            f"{source} has no vector of {', '.join(missing[:SHOWN])}{more}, which training perturbations "
            f"name; "
            "vectors are taken for all genes or none."
        )


def genes_of(label: str) -> tuple[str, ...]:
    """The genes that a label names; none for the control."""
    return Perturbation.parse(label).genes


def _axes(matrix: csr_matrix, genes: list[str], size: int) -> dict[str, np.ndarray]:
    """Scores of rows on the axes of largest singular values, brought to length 1; zero rows are left out."""
    from sklearn.utils.extmath import randomized_svd

    if not min(matrix.shape):
        raise BenchmarkError("There is nothing to make vectors of genes from; choose other gene_vectors.")
    left, values, _ = randomized_svd(matrix, min(size, *matrix.shape), n_iter=7, random_state=0)
    scores = left * values
    norms = np.linalg.norm(scores, axis=1)
    return {gene: score / norm for gene, score, norm in zip(genes, scores, norms, strict=True) if norm > 1e-9}


def _numbers(path: Path, line: int, texts: list[str]) -> np.ndarray:
    try:
        values = np.array(texts, dtype=np.float32)
    except ValueError as error:
        raise BenchmarkError(f"{path}, line {line}: {error}; write 'SYMBOL,0.1,-0.2,...'.") from error
    if not len(values) or not np.isfinite(values).all():
        raise BenchmarkError(
            f"{path}, line {line} is not a symbol with finite numbers; correct or remove it."
        )
    return values
