"""What a file holds, what is doubtful about it, and how it is read best; of its matrices little is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmark.data import files
from benchmark.data.canonical import label_problems
from benchmark.data.cards import DatasetCard
from benchmark.data.cells import Cells
from benchmark.data.doubts import doubts
from benchmark.data.gene_names import gene_names
from benchmark.data.gene_tables import at_hand
from benchmark.data.matrices import Matrix, best_matrix, matrices
from benchmark.data.proposed import proposed
from benchmark.data.read_cells import read_cells
from benchmark.data.refusal import Problem, mended, reading
from benchmark.data.source import readable
from benchmark.errors import BenchmarkError, unknown
from benchmark.perturbation import CONTROL

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 60
"""Values of a column that may still be batches, lines or the like."""


@dataclass(frozen=True)
class Description:
    """What a file holds.

    Attributes
    ----------
    file, cells, genes
        Its path, and how many there are.
    card
        How it would be read: as was said, the rest as proposed.
    matrices
        X, layers and ``.raw``.
    sizes
        Canonical label -> cells, as they would be read.
    measured
        Perturbed genes that are measured.
    renamed
        What a table of gene ids did to the names of genes.
    columns
        Columns of obs with few values -> the most frequent ones and their cells.
    problems
        What cannot be read as it was said, where that is mended by the proposed card or by nothing.
    warnings
        What is doubtful, with what to do.
    left_out
        What the proposed card leaves out.
    is_readable
        Whether the proposed card reads the file, as far as can be told.
    """

    file: Path
    cells: int
    genes: int
    card: DatasetCard
    matrices: list[Matrix]
    sizes: Counter[str]
    measured: int
    renamed: str
    columns: dict[str, dict[str, int]]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    is_readable: bool = True

    @property
    def perturbed(self) -> set[str]:
        """The perturbed genes."""
        return {gene for label in self.sizes if label != CONTROL for gene in label.split("+")}

    @property
    def command_options(self) -> dict[str, Any]:
        """Fields of the proposed card that a command has to say."""
        return reading(self.card)


def describe(path: Path, options: Mapping[str, Any], *, is_settled: bool = False) -> Description:
    """Look into a file.

    Parameters
    ----------
    path
        An ``.h5ad``.
    options
        How it is read, as far as that is said: fields of a card.
    is_settled
        Whether it is read in this way, so that nothing else is proposed.

    Raises
    ------
    BenchmarkError
        When it cannot be read, or nothing in it looks like labels of perturbations.
    """
    if not path.is_file():
        raise BenchmarkError(f"There is no file {path}; check the path.")
    with readable(path):
        found = matrices(path)
        obs, var, raw_var = _tables(path)
    said = dict(options)
    place = files.checked_card(path, {**said, **_no_labels(said)}).matrix
    chosen = _matrix(found, place, said)
    said = {**(chosen.reading if chosen is not None else {}), **said}
    var = raw_var if said.get("raw") and raw_var is not None else var
    card = files.checked_card(path, said if is_settled else proposed(obs, var, said))
    table = card.gene_table
    if table is not None and table != said.get("gene_table") and not at_hand(table):
        card = card.model_copy(update={"gene_table": None})  # proposed, and nothing is downloaded for that
    first = last = _look(obs, var, card)
    problems = [*label_problems(obs, var, card), *_of_values(chosen, card)]
    mends = {} if is_settled else mended(card, problems, partial(label_problems, obs, var))
    if mends is not None and not is_settled:
        mends = _unsaid(first.doubts, said) | mends
    if mends:
        card = files.checked_card(path, {**reading(card), **mends})
        last = _look(obs, var, card)
    warnings = [doubt.sentence for doubt in (*first.doubts, *last.doubts)]
    return Description(
        file=path,
        cells=len(obs),
        genes=len(var),
        card=card.model_copy(update={"gene_table": table}),
        matrices=found,
        sizes=last.cells.sizes(),
        measured=len(last.cells.perturbed & set(last.genes)),
        renamed=last.note,
        columns=_columns(obs, card),
        problems=problems,
        warnings=list(dict.fromkeys(warnings)),
        left_out=last.cells.left_out,
        is_readable=mends is not None,
    )


class _Look(NamedTuple):
    """Genes and cells as a card reads them, with what is doubtful about that."""

    genes: pd.Index
    note: str
    cells: Cells
    doubts: list[Problem]


def _look(obs: pd.DataFrame, var: pd.DataFrame, card: DatasetCard) -> _Look:
    genes, note = gene_names(var, card)
    cells = read_cells(obs, genes, card)
    return _Look(genes, note, cells, doubts(cells, obs, var, genes, card))


def _unsaid(found: list[Problem], said: Mapping[str, Any]) -> dict[str, Any]:
    """What would settle doubts, but for what was said."""
    mends = {name: value for doubt in found for name, value in (doubt.mend or {}).items()}
    return {name: value for name, value in mends.items() if name not in said}


def _tables(path: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    """Read obs, var and the genes of ``.raw``."""
    import h5py
    from anndata.io import read_elem

    with h5py.File(path, "r") as file:
        raw = read_elem(file["raw/var"]) if "raw/var" in file else None
        return read_elem(file["obs"]), read_elem(file["var"]), raw


def _no_labels(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "?" for name in files.NEEDED if name not in said}


def _matrix(found: list[Matrix], place: str, said: Mapping[str, Any]) -> Matrix | None:
    """The matrix that was said, else X, else the best of the others."""
    named = next((matrix for matrix in found if matrix.place == place), None)
    if named is None and place != "X":
        raise unknown("matrix", place, [matrix.place for matrix in found])
    is_said = "layer" in said or "raw" in said
    if is_said or (named is not None and named.is_usable):
        return named
    return best_matrix(found) or named


def _of_values(matrix: Matrix | None, card: DatasetCard) -> list[Problem]:
    """What is wrong with values, as far as some cells tell."""
    if matrix is None:
        return [Problem("The file has no matrix X; store expression values there", of_values=True)]
    expression = matrix.reading["expression"]
    if not matrix.is_usable and matrix.scale.kind in ("signed", "odd"):
        said = f"{matrix.place} cannot be used ({matrix.scale}); give counts, or log1p of them"
        return [Problem(said, of_values=True)]
    if expression != card.expression:
        return [
            Problem(
                f"{matrix.place} is declared to hold {card.expression}, but holds {matrix.scale}",
                {"expression": expression},
                of_values=True,
            )
        ]
    return []


def _columns(obs: pd.DataFrame, card: DatasetCard) -> dict[str, dict[str, int]]:
    """Columns with few values beside the labels: batches, lines and the like."""
    found = {}
    for name in map(str, obs.columns):
        if name == card.perturbation_column or obs[name].dtype.kind == "f":
            continue
        counts = obs[name].astype(str).value_counts()
        if 1 <= len(counts) <= MOST_VALUES:
            found[name] = {str(value): int(n) for value, n in counts.items() if n}
    return found


def sizes_of(cells: Cells | Description) -> np.ndarray:
    """Cells of each perturbation, ascending; the control not counted."""
    sizes = cells.sizes() if isinstance(cells, Cells) else cells.sizes
    return np.sort([size for label, size in sizes.items() if label != CONTROL])
