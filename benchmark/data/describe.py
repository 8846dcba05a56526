"""What a file holds, what is doubtful about it, and how it is read best; of its matrices little is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data import files
from benchmark.data.canonical import gene_names, repeated_genes
from benchmark.data.cards import DatasetCard
from benchmark.data.cells import Cells, column, read_cells
from benchmark.data.doubts import doubts, guides, perturbed, wrong_labels
from benchmark.data.labels import CONTROL_LIKE, SEPARATORS, LabelReader
from benchmark.data.matrices import Matrix, best_matrix, matrices
from benchmark.data.refusal import Problem, reading, united
from benchmark.data.source import readable
from benchmark.errors import BenchmarkError, unknown
from benchmark.perturbation import CONTROL

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 60
"""Values of a column that may still be batches, lines or the like."""
LABELS = ("perturbation", "condition", "gene", "guide", "target", "target_gene", "gene_target", "sgrna")


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


def describe(path: Path, options: Mapping[str, Any]) -> Description:
    """Look into a file.

    Parameters
    ----------
    path
        An ``.h5ad``.
    options
        How it is read, as far as that is said: fields of a card.

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
    card = files.checked_card(path, _proposed(obs, var, said))
    genes = gene_names(var, card)
    cells = read_cells(obs, genes, card)
    problems = [*repeated_genes(genes, card), *_of_values(chosen, card), *cells.problems]
    problems += wrong_labels(cells, genes, card)
    mends = united(problems, card)
    warnings = doubts(cells, obs, var, genes, card)
    if mends is not None and guides(cells, genes, card):
        mends = {**mends, "collapse_guides": True}
    if mends:
        card = files.checked_card(
            path, {**card.model_dump(include=set(reading(card))), **reading(card), **mends}
        )
        genes = gene_names(var, card)
        cells = read_cells(obs, genes, card)
        warnings = list(dict.fromkeys([*warnings, *doubts(cells, obs, var, genes, card)]))
    return Description(
        file=path,
        cells=len(obs),
        genes=len(var),
        card=card,
        matrices=found,
        sizes=cells.sizes(),
        measured=len(perturbed(cells) & set(genes)),
        columns=_columns(obs, card),
        problems=problems,
        warnings=warnings,
        left_out=cells.left_out,
        is_readable=mends is not None,
    )


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
        return [Problem("The file has no matrix X; store expression values there")]
    expression = matrix.reading["expression"]
    if not matrix.is_usable and matrix.scale.kind in ("signed", "odd"):
        return [Problem(f"{matrix.place} cannot be used ({matrix.scale}); give counts, or log1p of them")]
    if expression != card.expression:
        return [
            Problem(
                f"{matrix.place} is declared to hold {card.expression}, but holds {matrix.scale}",
                {"expression": expression},
            )
        ]
    return []


def _proposed(obs: pd.DataFrame, var: pd.DataFrame, said: Mapping[str, Any]) -> dict[str, Any]:
    """Complete what was said by what the labels look like."""
    columns = [str(name) for name in (said.get("gene_name_column"),) if name]
    genes = set(map(str, var[columns[0]] if columns and columns[0] in var else var.index))
    name = said.get("perturbation_column") or _label_column(obs, genes)
    labels = sorted({str(label) for label in column(obs, name, "--perturbation-column") if label is not None})
    proposed: dict[str, Any] = {"perturbation_column": name, **said}
    if "control_label" not in proposed:
        controls = _controls(labels)
        proposed["control_label"] = controls[0] if len(controls) == 1 else controls
    if "gene_name_column" not in proposed and (symbols := _symbols(var, labels, genes)):
        proposed["gene_name_column"] = symbols
        genes = set(map(str, var[symbols]))
    proposed.setdefault("separator", _separator(labels, genes, proposed))
    return proposed


def _label_column(obs: pd.DataFrame, genes: Collection[str]) -> str:
    """The column whose values look most like perturbations."""
    marks = {}
    for name in map(str, obs.columns):
        if obs[name].dtype.kind in "iufb":
            continue
        values = [str(value) for value in obs[name].dropna().unique()]
        if not 2 <= len(values) <= max(3, len(obs) // 2):
            continue
        fields = {part for value in values for part in [value, *_divided(value)]}
        named = len(fields & set(genes)) / len(values)
        has_control = any(_is_control_like(value) for value in values)
        marks[name] = min(named, 1.0) + 0.5 * has_control + 0.5 * (name.lower() in LABELS)
    best = max(marks, key=lambda name: marks[name], default=None)
    if best is None or marks[best] < 0.5:
        raise BenchmarkError(
            "No column of obs looks like labels of perturbations (there are: "
            f"{', '.join(map(str, obs.columns))}); "
            "name it with --perturbation-column."
        )
    return best


def _divided(label: str) -> list[str]:
    return [part for separator in SEPARATORS if separator in label for part in label.split(separator)]


def _is_control_like(label: str) -> bool:
    if CONTROL_LIKE.fullmatch(label):
        return True
    halves = [label.split(separator) for separator in SEPARATORS if separator in label]
    return any(all(CONTROL_LIKE.fullmatch(part) for part in parts) for parts in halves)


def _controls(labels: list[str]) -> tuple[str, ...]:
    """Labels that look like control cells; where none does, the usual one, which is then refused."""
    return tuple(label for label in labels if _is_control_like(label)) or ("control",)


def _symbols(var: pd.DataFrame, labels: list[str], genes: Collection[str]) -> str | None:
    """The column of var that has more of the names in labels than the index."""
    names = {part for label in labels for part in [label, *_divided(label)]}
    found = {str(name): len(names & set(var[name].astype(str))) for name in var.columns}
    best = max(found, key=lambda name: found[name], default=None)
    return best if best is not None and found[best] > 2 * len(names & set(genes)) else None


def _separator(labels: list[str], genes: Collection[str], said: Mapping[str, Any]) -> str:
    """The separator by which most labels are pairs of known names."""
    known = {*genes, *(label for label in labels if not any(mark in label for mark in SEPARATORS))}

    def pairs(separator: str) -> int:
        card = DatasetCard(name="x", separator=separator, control_label=said["control_label"])
        reader = LabelReader(card, genes)
        fields = [reader.fields(label) for label in labels if separator in label and label not in genes]
        return sum(
            len(parts) > 1 and all(part in known or _is_control_like(part) for part in parts)
            for parts in fields
        )

    return max(SEPARATORS, key=pairs)


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
