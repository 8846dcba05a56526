"""The one form in which every method, split and metric sees a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.cards import DatasetCard
from benchmark.data.genes import gene_list
from benchmark.errors import BenchmarkError, unknown
from benchmark.perturbation import CONTROL, Perturbation

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def canonicalise(adata: AnnData, card: DatasetCard, *, on_disk: bool = False) -> AnnData:
    """Bring a dataset as its source wrote it into the canonical form.

    Parameters
    ----------
    adata
        Cells x genes, whose X and layers may be read from a file when they are indexed; left unchanged.
    card
        Says which columns to read and what ``X`` holds.
    on_disk
        Whether the matrices of the result are mapped from disk; cells are then read block by block.

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
    import pandas as pd
    from anndata import AnnData
    from anndata.utils import make_index_unique

    from benchmark.data.expression import read_expression

    rows = _kept(adata, card)
    all_genes = _genes(adata, card)
    genes = all_genes if card.genes is None else _listed(all_genes, card)
    source = _column(adata, card.perturbation_column, "--perturbation-column", rows)
    obs = pd.DataFrame({"perturbation": _labels(source, card), "source_label": source}, dtype=object)
    columns = None if card.genes is None else all_genes.get_indexer(genes)
    found = read_expression(adata, rows, columns, card, on_disk=on_disk)
    if found.depth is not None:
        obs["depth"] = found.depth
    obs.index = make_index_unique(pd.Index(adata.obs_names[rows].astype(str), dtype=object))
    canonical = AnnData(X=found.expression, obs=obs, var=pd.DataFrame(index=genes))
    if found.counts is not None:
        canonical.layers["counts"] = found.counts
    canonical.uns["modality"] = card.modality
    return canonical


def _kept(adata: AnnData, card: DatasetCard) -> np.ndarray:
    """Which cells the card keeps, boolean, (cells,)."""
    rows = np.ones(adata.n_obs, dtype=bool)
    for column, value in card.keep.items():
        rows &= _column(adata, column, "the card's 'keep'") == value
    if not rows.any():
        wanted = " and ".join(f"{column} == {value}" for column, value in card.keep.items()) or "it is empty"
        raise BenchmarkError(f"Dataset '{card.name}' has no cells to keep ({wanted}); check the file.")
    if card.drop:
        rows[rows] = ~_dropped(_column(adata, card.perturbation_column, "--perturbation-column")[rows], card)
    return rows


def _dropped(source: np.ndarray, card: DatasetCard) -> np.ndarray:
    """Return which cells belong to a perturbation that the card leaves out."""
    canonical = _parsed(source, card)
    missing = sorted(set(card.drop) - set(canonical))
    if missing:
        raise unknown(
            "perturbation to drop", missing[0], map(str, set(canonical)), "correct the card's 'drop'"
        )
    return np.isin(canonical, card.drop)


def _listed(found: pd.Index, card: DatasetCard) -> pd.Index:
    """The genes of the card's list, in its order; depth is counted over all."""
    import pandas as pd

    genes = gene_list(str(card.genes))
    missing = sorted(set(genes) - set(found))
    if missing:
        raise BenchmarkError(
            f"Dataset '{card.name}' lacks {len(missing)} of the {len(genes)} genes of the list "
            f"'{card.genes}', such as '{missing[0]}'; check the file or the list."
        )
    return pd.Index(list(genes), dtype=object)


def _column(adata: AnnData, name: str, option: str, rows: np.ndarray | None = None) -> np.ndarray:
    """Return a column of obs as plain strings, of all cells or of some."""
    if name not in adata.obs:
        raise unknown("column of obs", name, map(str, adata.obs.columns), f"choose it with {option}")
    values = adata.obs[name] if rows is None else adata.obs[name][rows]
    if values.isna().any():
        raise BenchmarkError(
            f"Column '{name}' of obs is empty for {int(values.isna().sum())} cells; label or remove them."
        )
    return np.asarray(values.astype(str), dtype=object)


def _genes(adata: AnnData, card: DatasetCard) -> pd.Index:
    import pandas as pd

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
