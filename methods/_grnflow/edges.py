"""Known edges of a regulatory network, read from a file, as regulators of each gene of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.errors import BenchmarkError

COLUMNS = ["source", "target"]


def known_regulators(path: Path, genes: Sequence[str]) -> list[np.ndarray]:
    """Read which genes regulate which.

    Parameters
    ----------
    path
        CSV file with the columns source and target, such as CollecTRI's (Mueller-Dott et al., Nucleic Acids
        Res. 51, 10934, 2023). Other columns are not read: signs and strengths are fitted to cells.
    genes
        The panel.

    Returns
    -------
    list of numpy.ndarray
        For each gene of the panel the positions of its regulators in it, ascending, without itself.

    Raises
    ------
    BenchmarkError
        When there is no such file, it is no such table, or has no edge between genes of the panel.
    """
    if not path.is_file():
        raise BenchmarkError(f"There is no file {path} to read edges from; correct prior_file.")
    try:
        table = pd.read_csv(path, usecols=COLUMNS, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise BenchmarkError(
            f"{path} cannot be read as a list of edges ({reason}); give a CSV file with the columns source "
            "and target as prior_file."
        ) from error
    place = pd.Series(range(len(genes)), index=list(genes))
    ends = pd.DataFrame({column: table[column].str.strip().map(place) for column in COLUMNS})
    inside = ends.dropna().astype(int).drop_duplicates()
    inside = inside[inside["source"] != inside["target"]]
    if inside.empty:
        named = f"edges of genes such as '{table['source'].iloc[0]}'" if len(table) else "no edges"
        raise BenchmarkError(
            f"{path} has {named}, and none between two of the panel's {len(genes)} genes, such as "
            f"'{genes[0]}'; give a prior_file that names genes alike, or none to fit a network without one."
        )
    ordered = inside.sort_values("source").groupby("target")["source"]
    regulators = {gene: sources.to_numpy() for gene, sources in ordered}
    return [regulators.get(gene, np.empty(0, dtype=int)) for gene in range(len(genes))]
