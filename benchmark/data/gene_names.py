"""What the genes of a file are called: by its index, by a column, and by the symbols of a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from benchmark.data.cards import DatasetCard
from benchmark.data.gene_tables import table_of
from benchmark.data.refusal import Problem
from benchmark.errors import unknown

if TYPE_CHECKING:
    import pandas as pd


def gene_names(var: pd.DataFrame, card: DatasetCard) -> tuple[pd.Index, str]:
    """Return the names of genes as a card says.

    Returns
    -------
    tuple
        The names, and what there is to say of them.

    Raises
    ------
    BenchmarkError
        When the column or the table cannot be had.
    """
    import pandas as pd

    names, said = [str(name) for name in var.index], []
    if card.gene_name_column is not None:
        names, note = _of_column(var, names, card.gene_name_column)
        said.append(note)
    table = table_of(card)
    if table is not None:
        names, note = table.rename(names)
        said.append(note)
    return pd.Index(names, dtype=object), "; ".join(filter(None, said))


def repeated_genes(genes: pd.Index, card: DatasetCard) -> list[Problem]:
    """Return what is wrong where two genes have one name."""
    repeated = genes[genes.duplicated()].unique()
    if not len(repeated):
        return []
    return [
        Problem(
            f"Dataset '{card.name}' has {len(repeated)} gene names more than once, such as '{repeated[0]}'; "
            "merge those genes, or rename them (var_names_make_unique of anndata)"
        )
    ]


def _of_column(var: pd.DataFrame, own: list[str], column: str) -> tuple[list[str], str]:
    """Give genes the names of a column; without one, or with one that others have, they keep their own."""
    if column not in var:
        raise unknown("column of var", column, map(str, var.columns))
    empty = var[column].isna().to_numpy()
    written = ["" if lacks else str(name) for name, lacks in zip(var[column], empty, strict=True)]
    number = Counter(written)
    named = [
        name if name and number[name] == 1 else before for name, before in zip(written, own, strict=True)
    ]
    kept = [before for name, before in zip(written, own, strict=True) if not name or number[name] > 1]
    if not kept:
        return named, ""
    return named, (
        f"{len(kept):,} of {len(own):,} genes, such as '{kept[0]}', have no name of their own in the column "
        f"'{column}' of var and keep that of the index"
    )
