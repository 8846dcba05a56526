"""The one form in which every method, split and metric sees a dataset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.cards import DatasetCard
from benchmark.data.cells import Cells
from benchmark.data.gene_names import gene_names, repeated_genes
from benchmark.data.genes import gene_list, number_of
from benchmark.data.misread import wrong_labels
from benchmark.data.read_cells import read_cells
from benchmark.data.refusal import Problem, RefusedDataError
from benchmark.data.swapped import strange_controls
from benchmark.errors import BenchmarkError
from benchmark.perturbation import CONTROL

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from benchmark.data.canonical_matrices import Matrices

_log = logging.getLogger("benchmark")


def canonicalise(
    adata: AnnData, card: DatasetCard, *, on_disk: bool = False, is_whole: bool = True
) -> AnnData:
    """Bring a dataset as its source wrote it into the canonical form.

    Parameters
    ----------
    adata
        Cells x genes, whose X and layers may be read from a file when they are indexed; left unchanged. X is
        the matrix that the card reads.
    card
        Says which columns to read and what ``X`` holds.
    on_disk
        Whether the matrices of the result are mapped from disk; cells are then read block by block.
    is_whole
        Whether these are all cells of the source, by which labels can be judged.

    Returns
    -------
    AnnData
        ``X``: float32 CSR, log1p(counts / depth * 1e4). ``layers["counts"]``: float32 CSR, where counts
        exist. ``obs["perturbation"]``: `control`, `A` or `A+B`. ``obs["source_label"]``: the label as it
        was. ``obs["context"]`` and ``obs["batch"]``, where the card names their columns. ``obs["depth"]``:
        float64, only where X was computed here from counts. ``uns``: the modality.

    Raises
    ------
    BenchmarkError
        When the data cannot be used as they are: the sentence says all that is wrong and what to do.
    """
    import pandas as pd
    from anndata import AnnData
    from anndata.utils import make_index_unique

    names, note = gene_names(adata.var, card)
    problems = repeated_genes(names, card)
    cells = read_cells(adata.obs, names, card, _filled(adata, card))
    problems += cells.problems
    if is_whole:
        problems += wrong_labels(cells, names, card)
    columns = None if problems else _columns(adata, cells, names, card)
    found = _matrices(adata, cells.rows, columns, card, problems, on_disk)
    if found is None:
        raise RefusedDataError(problems)
    if note:
        _log.info("%s: %s.", card.name, note)
    for what in cells.left_out:
        _log.info("Left out of '%s': %s.", card.name, what)
    columns_of_obs = {"perturbation": cells.labels, "source_label": cells.source, **cells.surroundings}
    obs = pd.DataFrame(columns_of_obs, dtype=object)
    if found.depth is not None:
        obs["depth"] = found.depth
    obs.index = make_index_unique(pd.Index(adata.obs_names[cells.rows].astype(str), dtype=object))
    genes = names if columns is None else names[columns]
    canonical = AnnData(X=found.expression, obs=obs, var=pd.DataFrame(index=genes))
    if found.counts is not None:
        canonical.layers["counts"] = found.counts
    canonical.uns["modality"] = card.modality
    for doubt in strange_controls(canonical):
        _log.warning("%s: %s.", card.name, doubt)
    return canonical


def label_problems(obs: pd.DataFrame, var: pd.DataFrame, card: DatasetCard) -> list[Problem]:
    """Return what is wrong with labels and names of genes, whatever the values are."""
    names, _ = gene_names(var, card)
    cells = read_cells(obs, names, card)
    return [*repeated_genes(names, card), *cells.problems, *wrong_labels(cells, names, card)]


def _filled(adata: AnnData, card: DatasetCard) -> np.ndarray | None:
    """Which cells have any value, where the others are to be left out."""
    from benchmark.data.rows import filled_cells

    return filled_cells(adata.X) if "empty" in card.leave_out and adata.X is not None else None


def _columns(adata: AnnData, cells: Cells, names: pd.Index, card: DatasetCard) -> np.ndarray | None:
    """Which genes are kept, in their order; None for all. Depth is counted over all."""
    from benchmark.data.expression import read_expression
    from benchmark.data.variable_genes import variable_genes

    if card.genes is None:
        return None
    number = number_of(card.genes)
    if number is None:
        return np.asarray(names.get_indexer(_listed(names, card)))
    controls = cells.rows.copy()
    controls[cells.rows] = cells.labels == CONTROL
    found = read_expression(adata, controls, None, card, on_disk=False)
    return variable_genes(found.expression, names, number, cells.perturbed)


def _matrices(
    adata: AnnData,
    rows: np.ndarray,
    columns: np.ndarray | None,
    card: DatasetCard,
    problems: list[Problem],
    on_disk: bool,
) -> Matrices | None:
    """Read the matrices; None where anything is wrong with them, or was before."""
    from benchmark.data.canonical_matrices import WrongValuesError
    from benchmark.data.expression import read_expression

    try:
        found = read_expression(adata, rows, columns, card, on_disk=on_disk)
    except WrongValuesError as error:
        problems.append(Problem(str(error).removesuffix("."), error.mend, of_values=True))
    except BenchmarkError as error:
        problems.append(Problem(str(error).removesuffix("."), of_values=True))
    return None if problems else found


def _listed(found: pd.Index, card: DatasetCard) -> pd.Index:
    """The genes of the card's list, in its order."""
    import pandas as pd

    genes = gene_list(str(card.genes))
    missing = sorted(set(genes) - set(found))
    if missing:
        raise BenchmarkError(
            f"Dataset '{card.name}' lacks {len(missing)} of the {len(genes)} genes of the list "
            f"'{card.genes}', such as '{missing[0]}'; check the file or the list."
        )
    return pd.Index(list(genes), dtype=object)
