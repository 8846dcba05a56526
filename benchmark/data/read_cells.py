"""Which cells of a file are read, and which perturbation each of them has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.cards import DatasetCard
from benchmark.data.cells import Cells, column
from benchmark.data.labels import CONTROL_LIKE, LabelReader
from benchmark.data.left_out import draw_controls, drop, leave_out_small, leave_out_unlabelled
from benchmark.data.read_contexts import read_surroundings, require_controls_of_contexts
from benchmark.data.refusal import Problem
from benchmark.errors import BenchmarkError
from benchmark.perturbation import CONTROL, CONTROL_LABELS, IN_CONTEXT, Perturbation

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3


def read_cells(
    obs: pd.DataFrame, genes: Collection[str], card: DatasetCard, filled: np.ndarray | None = None
) -> Cells:
    """Read the labels of cells as a card says, and leave out what it leaves out.

    Parameters
    ----------
    obs
        What the source says of its cells.
    genes
        Names of the measured genes.
    card
        Says which cells are kept and how labels are written.
    filled
        Which cells have any count, where the others are left out; boolean, (cells,).

    Raises
    ------
    BenchmarkError
        When a column is missing or no cell is kept; other problems are returned, all of them.
    """
    rows = _chosen(obs, card)
    reader = LabelReader(card, genes)
    written = column(obs, card.perturbation_column, "--perturbation-column")
    cells = Cells(rows, written[rows], np.empty(0, dtype=object), {})
    cells.labels = np.full(len(cells.source), CONTROL, dtype=object)
    read_surroundings(cells, obs, card)
    if filled is not None:
        kept = filled[rows]
        cells.keep(kept, f"{int((~kept).sum()):,} cells without counts")
    leave_out_unlabelled(cells, card)
    cells.names = {str(label): reader.names(str(label)) for label in np.unique(cells.source.astype(str))}
    drop(cells, set(card.drop) - {f"{name}={value}" for name, value in _columns_to_drop(obs, card)})
    _label(cells, card)
    _require_controls(cells, card)
    require_controls_of_contexts(cells, card)
    leave_out_small(cells, card)
    draw_controls(cells, card)
    return cells


def _chosen(obs: pd.DataFrame, card: DatasetCard) -> np.ndarray:
    """Which cells the card keeps by their columns, boolean, (cells,)."""
    rows = np.ones(len(obs), dtype=bool)
    for name, value in card.keep.items():
        values = (value,) if isinstance(value, str) else value
        rows &= np.isin(column(obs, name, "--keep, or the card's 'keep'").astype(str), values)
    for name, value in _columns_to_drop(obs, card):
        rows &= column(obs, name, "--drop").astype(str) != value
    if not rows.any():
        wanted = " and ".join(f"{name} == {value}" for name, value in card.keep.items()) or "it is empty"
        raise BenchmarkError(f"Dataset '{card.name}' has no cells to keep ({wanted}); check the file.")
    return rows


def _columns_to_drop(obs: pd.DataFrame, card: DatasetCard) -> list[tuple[str, str]]:
    pairs = [(entry.partition("=")[0], entry.partition("=")[2]) for entry in card.drop if "=" in entry]
    return [(name, value) for name, value in pairs if name in obs]


def _label(cells: Cells, card: DatasetCard) -> None:
    """Write labels in canonical form; those that cannot be written so are problems, or left out."""
    canonical: dict[str, str | None] = {}
    triples, unreadable = [], []
    for label, names in cells.names.items():
        if "" in names:
            unreadable.append(label)
        elif any(IN_CONTEXT in name for name in names):
            cells.problems.append(
                Problem(
                    f"Perturbation label '{label}' has '{IN_CONTEXT}' in it, which stands between a "
                    "context and a perturbation; rename it"
                )
            )
        elif len(names) > 2:
            triples.append(label)
        elif CONTROL_LABELS & set(names):
            _refuse_control(cells, card, next(name for name in names if name in CONTROL_LABELS))
        else:
            canonical[label] = str(Perturbation(names))
    counted = Counter(cells.source)
    if unreadable:
        cells.problems.append(
            Problem(
                f"Perturbation label '{unreadable[0]}' has an empty gene name; write 'A' or "
                f"'A{card.separator}B'"
                + (f", and so {len(unreadable) - 1} more" if len(unreadable) > 1 else ""),
                {"drop": tuple(unreadable)} if len(unreadable) <= EXAMPLES else None,
            )
        )
    if triples:
        _triples(cells, card, triples, sum(counted[label] for label in triples))
    readable = np.array([label in canonical for label in cells.source], dtype=bool)
    cells.keep(readable)
    cells.labels = np.array([canonical[label] for label in cells.source], dtype=object)


def _triples(cells: Cells, card: DatasetCard, labels: list[str], number: int) -> None:
    first = labels[0]
    if "triples" in card.leave_out:
        cells.left_out.append(f"{number:,} cells of {len(labels)} labels with more than two genes")
        return
    cells.problems.append(
        Problem(
            f"Perturbation '{first}' names {len(cells.names[first])} genes, but at most two are supported "
            f"({len(labels)} such labels, {number} cells); remove those cells",
            {"leave_out": ("triples",)},
        )
    )


def _refuse_control(cells: Cells, card: DatasetCard, name: str) -> None:
    sentence = (
        f"Label '{name}' names no gene but control cells, whose label was said to be "
        f"{_quoted(card.controls)}; correct the control label, or give several"
    )
    if all(problem.sentence != sentence for problem in cells.problems):
        cells.problems.append(Problem(sentence, {"control_label": (*card.controls, name)}))


def _require_controls(cells: Cells, card: DatasetCard) -> None:
    if CONTROL not in cells.labels:
        usual = [label for label in cells.names if CONTROL_LIKE.fullmatch(label)]
        frequent = ", ".join(f"'{label}'" for label, _ in Counter(cells.source).most_common(EXAMPLES))
        cells.problems.append(
            Problem(
                f"Dataset '{card.name}' has no control cells labelled {_quoted(card.controls)} (its most "
                f"frequent labels are {frequent}); name the right one with --control-label",
                {"control_label": tuple(usual)} if usual else None,
            )
        )
    elif set(cells.labels) == {CONTROL}:
        cells.problems.append(
            Problem(
                f"Dataset '{card.name}' has control cells only; check --perturbation-column, which is "
                f"'{card.perturbation_column}'"
            )
        )


def _quoted(labels: Collection[str]) -> str:
    return " or ".join(f"'{label}'" for label in labels)
