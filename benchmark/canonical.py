"""The one form in which every method, split and metric sees a dataset."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique
from scipy.sparse import csr_matrix

from benchmark.cards import DatasetCard
from benchmark.errors import BenchmarkError, unknown
from benchmark.genes import gene_list
from benchmark.perturbation import CONTROL, Perturbation

TARGET_DEPTH = 1e4
LARGEST_LOG_VALUE = 15.0  # log1p(CP10K) ends at log1p(1e4) = 9.2; other depths in use stay below this.
COUNT_TOLERANCE = 0.01

_log = logging.getLogger("benchmark")


def canonicalise(adata: AnnData, card: DatasetCard) -> AnnData:
    """Bring a dataset as its source wrote it into the canonical form.

    Parameters
    ----------
    adata
        Cells x genes; left unchanged.
    card
        Says which columns to read and what ``X`` holds.

    Returns
    -------
    AnnData
        ``X``: float32 CSR, log1p(counts / depth * 1e4). ``layers["counts"]``: float32 CSR, where counts
        exist. ``obs["perturbation"]``: `control`, `A` or `A+B`. ``obs["source_label"]``: the label as it
        was. ``obs["depth"]``: float64, only where X was computed here from counts. ``uns``: the modality.

    Raises
    ------
    BenchmarkError
        When the data cannot be used as they are: the sentence says why and what to do.
    """
    adata = _kept(adata, card)
    genes = _genes(adata, card)
    source = _column(adata, card.perturbation_column, "--perturbation-column")
    labels = _labels(source, card)
    matrix = _checked(adata.X, "expression")
    obs = pd.DataFrame({"perturbation": labels, "source_label": source}, dtype=object)
    if card.expression == "counts":
        counts: csr_matrix | None = _declared_counts(matrix)
        depth = _depth(adata, card, matrix)
        obs["depth"] = depth
        expression = log_normalise(matrix, depth)
    else:
        expression = _declared_log(matrix)
        counts = _given_counts(adata) if "counts" in adata.layers else _recovered_counts(adata, card, matrix)
    obs.index = make_index_unique(pd.Index(adata.obs_names.astype(str), dtype=object))
    canonical = AnnData(X=expression.astype(np.float32), obs=obs, var=pd.DataFrame(index=genes))
    if counts is not None:
        canonical.layers["counts"] = counts.astype(np.float32)
    canonical.uns["modality"] = card.modality
    return canonical if card.genes is None else _cut(canonical, card)


def log_normalise(counts: csr_matrix, depth: np.ndarray) -> csr_matrix:
    """Return log1p(counts / depth * 1e4) for counts (cells, genes) and depth (cells,), in float64."""
    scaled = counts.astype(np.float64)
    scaled.data = np.log1p(scaled.data * np.repeat(TARGET_DEPTH / depth, np.diff(scaled.indptr)))
    return scaled


def _kept(adata: AnnData, card: DatasetCard) -> AnnData:
    rows = np.ones(adata.n_obs, dtype=bool)
    for column, value in card.keep.items():
        rows &= _column(adata, column, "the card's 'keep'") == value
    if not rows.any():
        wanted = " and ".join(f"{column} == {value}" for column, value in card.keep.items()) or "it is empty"
        raise BenchmarkError(f"Dataset '{card.name}' has no cells to keep ({wanted}); check the file.")
    if card.drop:
        rows[rows] = ~_dropped(_column(adata, card.perturbation_column, "--perturbation-column")[rows], card)
    return adata if rows.all() else adata[rows]


def _dropped(source: np.ndarray, card: DatasetCard) -> np.ndarray:
    """Return which cells belong to a perturbation that the card leaves out."""
    canonical = _parsed(source, card)
    missing = sorted(set(card.drop) - set(canonical))
    if missing:
        raise unknown(
            "perturbation to drop", missing[0], map(str, set(canonical)), "correct the card's 'drop'"
        )
    return np.isin(canonical, card.drop)


def _cut(adata: AnnData, card: DatasetCard) -> AnnData:
    """Keep the genes of the card's list, in its order; depth was counted over all."""
    genes = gene_list(str(card.genes))
    missing = sorted(set(genes) - set(adata.var_names))
    if missing:
        raise BenchmarkError(
            f"Dataset '{card.name}' lacks {len(missing)} of the {len(genes)} genes of the list "
            f"'{card.genes}', such as '{missing[0]}'; check the file or the list."
        )
    cut = adata[:, list(genes)].copy()
    for matrix in (cut.X, *cut.layers.values()):
        matrix.sort_indices()
    return cut


def _column(adata: AnnData, name: str, option: str) -> np.ndarray:
    """Return a column of obs as plain strings."""
    if name not in adata.obs:
        raise unknown("column of obs", name, map(str, adata.obs.columns), f"choose it with {option}")
    values = adata.obs[name]
    if values.isna().any():
        raise BenchmarkError(
            f"Column '{name}' of obs is empty for {int(values.isna().sum())} cells; label or remove them."
        )
    return np.asarray(values.astype(str), dtype=object)


def _genes(adata: AnnData, card: DatasetCard) -> pd.Index:
    names: Iterable[str] = adata.var_names
    if card.gene_name_column is not None:
        if card.gene_name_column not in adata.var:
            raise unknown("column of var", card.gene_name_column, map(str, adata.var.columns))
        names = adata.var[card.gene_name_column]
    genes = pd.Index([str(name) for name in names], dtype=object)
    repeated = genes[genes.duplicated()].unique()
    if len(repeated):
        raise BenchmarkError(
            f"Dataset '{card.name}' has {len(repeated)} gene names more than once, such as '{repeated[0]}'; "
            "rename or merge those genes."
        )
    return genes


def _labels(source: np.ndarray, card: DatasetCard) -> np.ndarray:
    """Return canonical labels: `A+ctrl` and `ctrl+A`, `A+B` and `B+A` become one."""
    labels = _parsed(source, card)
    sizes = Counter(labels)
    if CONTROL not in sizes:
        frequent = ", ".join(f"'{label}'" for label, _ in Counter(source).most_common(3))
        raise BenchmarkError(
            f"Dataset '{card.name}' has no control cells labelled '{card.control_label}' (its most frequent "
            f"labels are {frequent}); name the right one with --control-label."
        )
    if len(sizes) == 1:
        raise BenchmarkError(
            f"Dataset '{card.name}' has control cells only; check --perturbation-column, which is "
            f"'{card.perturbation_column}'."
        )
    small = sorted(label for label, size in sizes.items() if size < 2)
    if small:
        raise BenchmarkError(
            f"{len(small)} perturbations of dataset '{card.name}' have fewer than 2 cells, such as "
            f"'{small[0]}'; remove those cells."
        )
    return labels


def _parsed(source: np.ndarray, card: DatasetCard) -> np.ndarray:
    written, codes = np.unique(source.astype(str), return_inverse=True)
    parsed = [
        str(Perturbation.parse(str(label), separator=card.separator, control_label=card.control_label))
        for label in written
    ]
    return np.array(parsed, dtype=object)[codes]


def _checked(values: object, what: str) -> csr_matrix:
    """Return a matrix as CSR with sorted indices and no stored zeros; refuse impossible values."""
    if values is None:
        raise BenchmarkError("The data have no matrix X; store expression values there.")
    matrix = csr_matrix(values, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    for wrong, kind in ((~np.isfinite(matrix.data), "NaN or infinite"), (matrix.data < 0, "negative")):
        if wrong.any():
            row, column = _first(matrix, wrong)
            raise BenchmarkError(
                f"The {what} matrix has {int(wrong.sum())} {kind} values, the first in cell {row}, "
                f"gene {column}; correct or remove them."
            )
    return matrix


def _first(matrix: csr_matrix, wrong: np.ndarray) -> tuple[int, int]:
    position = int(np.flatnonzero(wrong)[0])
    row = int(np.searchsorted(matrix.indptr, position, side="right")) - 1
    return row, int(matrix.indices[position])


def _declared_counts(matrix: csr_matrix) -> csr_matrix:
    broken = matrix.data != np.round(matrix.data)
    if broken.any():
        raise BenchmarkError(
            f"Raw counts are declared, but {int(broken.sum())} values are not whole numbers, such as "
            f"{matrix.data[broken][0]:.4g}; if they are log1p values, declare --expression log1p."
        )
    return matrix


def _declared_log(matrix: csr_matrix) -> csr_matrix:
    largest = float(matrix.data.max(initial=0.0))
    whole = bool((matrix.data == np.round(matrix.data)).all())
    if whole or largest > LARGEST_LOG_VALUE:
        found = "all values are whole numbers" if whole else "the values are too large"
        raise BenchmarkError(
            f"log1p values are declared, but {found} (the largest is {largest:.4g}); if they are raw counts, "
            "declare --expression counts."
        )
    return matrix


def _depth(adata: AnnData, card: DatasetCard, counts: csr_matrix) -> np.ndarray:
    """Return the counts of each cell over all genes, (cells,) float64."""
    if card.depth_column is None:
        depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    else:
        depth = _numbers(adata, card.depth_column)
    empty = ~(np.isfinite(depth) & (depth > 0))
    if empty.any():
        raise BenchmarkError(
            f"{int(empty.sum())} cells of dataset '{card.name}' have no counts, the first is cell "
            f"{int(np.flatnonzero(empty)[0])}; remove those cells."
        )
    return depth


def _numbers(adata: AnnData, column: str) -> np.ndarray:
    if column not in adata.obs:
        raise unknown("column of obs", column, map(str, adata.obs.columns))
    return np.asarray(pd.to_numeric(adata.obs[column], errors="coerce"), dtype=np.float64)


def _given_counts(adata: AnnData) -> csr_matrix | None:
    counts = _checked(adata.layers["counts"], "counts")
    if (counts.data == np.round(counts.data)).all():
        return counts
    _log.warning("layers['counts'] holds values that are not whole numbers and was left out.")
    return None


def _recovered_counts(adata: AnnData, card: DatasetCard, log_values: csr_matrix) -> csr_matrix | None:
    """Undo log1p(counts / depth * 1e4) where that gives whole numbers, else return None.

    The depth column may count a few genes more than the depth that was divided by, so it only tells how
    many counts the smallest value of a cell stands for; that value then sets the scale of the cell.
    """
    if card.depth_column is None or not np.diff(log_values.indptr).all():
        return None
    depth = _numbers(adata, card.depth_column)
    scaled = np.expm1(log_values.data.astype(np.float64))
    smallest = np.minimum.reduceat(scaled, log_values.indptr[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = smallest / np.round(smallest * depth / TARGET_DEPTH)
        values = scaled / np.repeat(unit, np.diff(log_values.indptr))
        whole = np.abs(values - np.round(values)) <= COUNT_TOLERANCE
    if not whole.all():
        return None
    counts = log_values.astype(np.float64)
    counts.data = np.round(values)
    return counts
