"""What attention and what plain expression say about regulation, as scores to rank by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from anndata import AnnData
from scipy import sparse

from benchmark.errors import BenchmarkError
from benchmark.machine.progress import stage
from benchmark.perturbation import CONTROL, Perturbation

ATTENTION_EDGES = ("attention", "mean change")
ATTENTION_GENES = ("change of the row", "change at the perturbed")
EXPRESSION_EDGES = ("correlation, control cells", "correlation, all cells")
EXPRESSION_GENES = ("change of mean expression",)

RELATIVE_NOISE = 1e-10
"""A variance below this share of the mean square is rounding: the gene is constant."""


class RegulatoryMaps(Protocol):
    """What the attention of a method says about regulation; read once, in this order."""

    @property
    def genes(self) -> Sequence[str]:
        """The genes of the training cells, in their order."""

    @property
    def attention(self) -> np.ndarray:
        """Mean map over control cells, (genes, genes): row = gene that reads, column = gene that is read."""

    @property
    def changes(self) -> Iterator[tuple[str, np.ndarray]]:
        """Each training perturbation and its change, mean perturbed minus mean control map, signed."""


@runtime_checkable
class MapsRegulation(Protocol):
    """A method that can show its attention."""

    def regulatory_maps(self, train: AnnData) -> RegulatoryMaps:
        """Return maps of the training cells: controls, and the training perturbations."""


@dataclass(frozen=True, eq=False)
class Panel:
    """What every ranking is about.

    Attributes
    ----------
    genes
        Names of the measured genes.
    regulators
        int, (regulators,): positions of the regulators in the true network.
    labels
        The training perturbations.
    perturbed
        For each of them, positions of its measured genes.
    """

    genes: list[str]
    regulators: np.ndarray
    labels: list[str]
    perturbed: list[np.ndarray]

    @classmethod
    def of(cls, train: AnnData, regulators: np.ndarray) -> Panel:
        """Read genes and perturbations off the training cells."""
        genes = [str(gene) for gene in train.var_names]
        place = {gene: position for position, gene in enumerate(genes)}
        labels = sorted(set(train.obs["perturbation"].astype(str)) - {CONTROL})
        perturbed = [
            np.array([place[gene] for gene in Perturbation.parse(label).genes if gene in place], dtype=int)
            for label in labels
        ]
        return cls(genes, regulators, labels, perturbed)


@dataclass(frozen=True, eq=False)
class Rankings:
    """Scores of one contender: the greater, the likelier it calls an edge or an effect.

    Attributes
    ----------
    edges
        Ranking -> (genes, regulators): how much a gene seems to be regulated by each regulator.
    genes
        Ranking -> (perturbations, genes): how much each perturbation seems to act on each gene.
    """

    edges: dict[str, np.ndarray]
    genes: dict[str, np.ndarray]


def rank_by_attention(maps: RegulatoryMaps, panel: Panel, source: str) -> Rankings:
    """Turn maps into scores, one change at a time.

    Edges: the mean map over control cells at (target, regulator), and the mean over training perturbations
    of the magnitude of its change. Genes: how much a gene's row changes (sum of magnitudes), and how much
    it changes at the perturbed genes.

    Raises
    ------
    BenchmarkError
        When genes or perturbations are not those of the training cells, or a map has another shape or
        values that are no numbers.
    """
    if list(maps.genes) != panel.genes:
        raise BenchmarkError(
            f"The maps of '{source}' have {len(maps.genes)} genes, which are not the {len(panel.genes)} of "
            "the training cells; give the same genes in the same order."
        )
    size = (len(panel.labels), len(panel.genes))
    attention = _checked(maps.attention, panel, f"The attention of '{source}'")[:, panel.regulators]
    total, rows, columns = np.zeros(attention.shape), np.zeros(size), np.zeros(size)
    missing = set(panel.labels)
    with stage(f"maps {source}", len(panel.labels)) as progress:
        for label, change in maps.changes:
            if label not in missing:
                raise BenchmarkError(
                    f"The maps of '{source}' have a change for '{label}', which is no training perturbation "
                    "or came twice; give each training perturbation once."
                )
            missing.remove(label)
            place = panel.labels.index(label)
            change = np.abs(_checked(change, panel, f"The change of '{source}' for '{label}'"))
            total += change[:, panel.regulators]
            rows[place] = change.sum(axis=1, dtype=float)
            columns[place] = change[:, panel.perturbed[place]].sum(axis=1, dtype=float)
            progress.advance()
    if missing:
        raise BenchmarkError(
            f"The maps of '{source}' lack {len(missing)} training perturbations, such as '{min(missing)}'; "
            "give each training perturbation once."
        )
    edges = (attention.astype(float), total / len(panel.labels))
    return Rankings(
        edges=dict(zip(ATTENTION_EDGES, edges, strict=True)),
        genes=dict(zip(ATTENTION_GENES, (rows, columns), strict=True)),
    )


def rank_by_expression(train: AnnData, panel: Panel) -> Rankings:
    """Rank by what needs no transformer: correlation of genes, and change of their mean expression.

    Edges: |Pearson correlation| of target and regulator over training cells, controls alone or all of
    them. Genes: |mean of log1p values of the perturbed cells minus that of the control cells|.
    """
    cells = sparse.csr_matrix(train.X, dtype=np.float64)
    labels = train.obs["perturbation"].astype(str).to_numpy()
    control = cells[np.flatnonzero(labels == CONTROL)]
    means = [_mean(cells[np.flatnonzero(labels == label)]) for label in panel.labels]
    edges = (correlation(control, panel.regulators), correlation(cells, panel.regulators))
    return Rankings(
        edges=dict(zip(EXPRESSION_EDGES, map(np.abs, edges), strict=True)),
        genes=dict(zip(EXPRESSION_GENES, [np.abs(np.stack(means) - _mean(control))], strict=True)),
    )


def correlation(cells: sparse.csr_matrix, columns: np.ndarray) -> np.ndarray:
    """Pearson correlation of every gene with some of them, over cells.

    Parameters
    ----------
    cells
        float64, (cells, genes).
    columns
        int, positions of the genes to correlate with.

    Returns
    -------
    numpy.ndarray
        (genes, columns); 0 for a gene that is the same in all cells.
    """
    mean = _mean(cells)
    square = _mean(cells.multiply(cells))
    variance = square - mean**2
    varies = variance > RELATIVE_NOISE * square
    scale = varies / np.sqrt(np.where(varies, variance, 1.0))
    product = cells.T @ cells[:, columns].toarray() / cells.shape[0]
    covariance = product - np.outer(mean, mean[columns])
    found = np.clip(covariance * scale[:, None] * scale[columns], -1.0, 1.0)
    # Rounding must not decide which of A -> B and B -> A comes first.
    found[columns] = (found[columns] + found[columns].T) / 2
    return found


def _mean(cells: sparse.spmatrix) -> np.ndarray:
    return np.asarray(cells.mean(axis=0)).ravel()


def _checked(values: np.ndarray, panel: Panel, what: str) -> np.ndarray:
    """Refuse maps of another shape, or with values that are no numbers."""
    shape = (len(panel.genes), len(panel.genes))
    if np.shape(values) != shape:
        raise BenchmarkError(f"{what} has the shape {np.shape(values)}; it must be {shape}.")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise BenchmarkError(f"{what} has {bad} values that are not finite; mend the method.")
    return values
