"""Known edges of a regulatory network, read from a file, as regulators of each gene of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.data.priors import ENDS, read_edges
from benchmark.errors import BenchmarkError


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
        As `read_edges`, and when no edge is between genes of the panel.
    """
    table = read_edges(path)
    place = pd.Series(range(len(genes)), index=list(genes))
    ends = pd.DataFrame({column: table[column].map(place) for column in ENDS})
    inside = ends.dropna().astype(int).drop_duplicates()
    inside = inside[inside["source"] != inside["target"]]
    if inside.empty:
        raise BenchmarkError(
            f"{path} has edges of genes such as '{table['source'].iloc[0]}', and none between two of the "
            f"panel's {len(genes)} genes, such as '{genes[0]}'; give a prior_file that names genes alike, or "
            "none to fit a network without one."
        )
    ordered = inside.sort_values("source").groupby("target")["source"]
    regulators = {gene: sources.to_numpy() for gene, sources in ordered}
    return [regulators.get(gene, np.empty(0, dtype=int)) for gene in range(len(genes))]
