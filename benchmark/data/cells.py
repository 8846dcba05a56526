"""Which cells of a file are read, and which perturbation each of them has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.cards import DatasetCard
from benchmark.data.labels import CONTROL_LIKE, LabelReader
from benchmark.data.refusal import Problem
from benchmark.errors import BenchmarkError, unknown
from benchmark.perturbation import CONTROL, CONTROL_LABELS, Perturbation

if TYPE_CHECKING:
    import pandas as pd

SEED_OF_CONTROLS = 0
EXAMPLES = 3


@dataclass
class Cells:
    """The cells of a file that are read.

    Attributes
    ----------
    rows
        Which cells of the file, boolean, (cells of the file,).
    source, labels
        Label of each kept cell as it is in the file, and in canonical form.
    names
        Label in the file -> the genes that it names, of all cells that the card keeps.
    problems
        For what these cells cannot be used.
    left_out
        What was left out on request, with its number.
    """

    rows: np.ndarray
    source: np.ndarray
    labels: np.ndarray
    names: dict[str, tuple[str, ...]]
    problems: list[Problem] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def sizes(self) -> Counter[str]:
        """Cells by canonical label."""
        return Counter(self.labels)

    def keep(self, kept: np.ndarray, what: str = "") -> None:
        """Leave cells out, and count them where that was asked for."""
        if not kept.all():
            self.rows[self.rows] = kept
            self.source, self.labels = self.source[kept], self.labels[kept]
            if what:
                self.left_out.append(what)


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
    if filled is not None:
        kept = filled[rows]
        cells.keep(kept, f"{int((~kept).sum()):,} cells without counts")
    _leave_out_unlabelled(cells, card)
    cells.names = {str(label): reader.names(str(label)) for label in np.unique(cells.source.astype(str))}
    _drop(cells, set(card.drop) - {f"{name}={value}" for name, value in _columns_to_drop(obs, card)})
    _label(cells, card)
    _require_controls(cells, card)
    _leave_out_small(cells, card)
    _draw_controls(cells, card)
    return cells


def column(obs: pd.DataFrame, name: str, option: str) -> np.ndarray:
    """Return a column of obs as plain strings, None where it is empty."""
    if name not in obs:
        raise unknown("column of obs", name, map(str, obs.columns), f"choose it with {option}")
    values = obs[name]
    strings = np.asarray(values.astype(str), dtype=object)
    strings[values.isna().to_numpy()] = None
    return strings


def _chosen(obs: pd.DataFrame, card: DatasetCard) -> np.ndarray:
    """Which cells the card keeps by their columns, boolean, (cells,)."""
    rows = np.ones(len(obs), dtype=bool)
    for name, value in card.keep.items():
        values = (value,) if isinstance(value, str) else value
        rows &= np.isin(column(obs, name, "the card's 'keep'").astype(str), values)
    for name, value in _columns_to_drop(obs, card):
        rows &= column(obs, name, "--drop").astype(str) != value
    if not rows.any():
        wanted = " and ".join(f"{name} == {value}" for name, value in card.keep.items()) or "it is empty"
        raise BenchmarkError(f"Dataset '{card.name}' has no cells to keep ({wanted}); check the file.")
    return rows


def _columns_to_drop(obs: pd.DataFrame, card: DatasetCard) -> list[tuple[str, str]]:
    pairs = [(entry.partition("=")[0], entry.partition("=")[2]) for entry in card.drop if "=" in entry]
    return [(name, value) for name, value in pairs if name in obs]


def _leave_out_unlabelled(cells: Cells, card: DatasetCard) -> None:
    empty = np.array([label is None for label in cells.source], dtype=bool)
    if not empty.any():
        return
    number = int(empty.sum())
    if "unlabelled" not in card.leave_out:
        cells.problems.append(
            Problem(
                f"Column '{card.perturbation_column}' of obs is empty for {number} cells; label or remove "
                "them",
                {"leave_out": ("unlabelled",)},
            )
        )
    cells.keep(~empty, f"{number:,} cells without a label")


def _drop(cells: Cells, wanted: set[str]) -> None:
    """Leave out perturbations, however they are spelt."""
    if not wanted:
        return
    dropped, found = set(), set()
    for label, names in cells.names.items():
        hits = wanted & {label, "+".join(sorted(names)) or CONTROL}
        found |= hits
        if hits:
            dropped.add(label)
    missing = sorted(wanted - found)
    if missing:
        known = {"+".join(sorted(names)) or CONTROL for names in cells.names.values()}
        raise unknown("perturbation to drop", missing[0], known, "correct the card's 'drop'")
    cells.keep(np.array([label not in dropped for label in cells.source], dtype=bool))
    cells.names = {label: names for label, names in cells.names.items() if label not in dropped}


def _label(cells: Cells, card: DatasetCard) -> None:
    """Write labels in canonical form; those that cannot be written so are problems, or left out."""
    canonical: dict[str, str | None] = {}
    triples, unreadable = [], []
    for label, names in cells.names.items():
        if "" in names:
            unreadable.append(label)
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


def _leave_out_small(cells: Cells, card: DatasetCard) -> None:
    """Leave out perturbations with too few cells, or refuse those with a single one; controls always stay."""
    sizes = cells.sizes()
    least = card.min_cells or 2
    small = sorted(label for label, size in sizes.items() if size < least)
    if card.min_cells is not None:
        small = [label for label in small if label != CONTROL]
        number = sum(sizes[label] for label in small)
        what = f"{len(small)} perturbations with fewer than {least} cells ({number:,} cells)"
        cells.keep(~np.isin(cells.labels, small), what)
    elif small:
        cells.problems.append(
            Problem(
                f"{len(small)} perturbations of dataset '{card.name}' have fewer than 2 cells, such as "
                f"'{small[0]}'; remove those cells",
                None if CONTROL in small else {"min_cells": 2},
            )
        )


def _draw_controls(cells: Cells, card: DatasetCard) -> None:
    controls = np.flatnonzero(cells.labels == CONTROL)
    if card.max_controls is None or len(controls) <= card.max_controls:
        return
    drawn = np.random.default_rng(SEED_OF_CONTROLS).choice(controls, card.max_controls, replace=False)
    kept = cells.labels != CONTROL
    kept[drawn] = True
    cells.keep(kept, f"{len(controls) - card.max_controls:,} of {len(controls):,} control cells")


def _quoted(labels: Collection[str]) -> str:
    return " or ".join(f"'{label}'" for label in labels)
