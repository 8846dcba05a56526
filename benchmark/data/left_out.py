"""Which cells are left out by what is in their label, or by how many are labelled so."""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmark.data.cards import DatasetCard
from benchmark.data.cells import Cells
from benchmark.data.refusal import Problem
from benchmark.errors import unknown
from benchmark.perturbation import CONTROL, Perturbation

SEED_OF_CONTROLS = 0


def leave_out_unlabelled(cells: Cells, card: DatasetCard) -> None:
    """Leave out cells without a label; it is a problem where that was not asked for."""
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


def drop(cells: Cells, wanted: set[str]) -> None:
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
        raise unknown("perturbation to drop", missing[0], known, "correct --drop, or the card's 'drop'")
    cells.keep(np.array([label not in dropped for label in cells.source], dtype=bool))
    cells.names = {label: names for label, names in cells.names.items() if label not in dropped}


def leave_out_small(cells: Cells, card: DatasetCard) -> None:
    """Leave out perturbations with too few cells, or refuse those with a single one; controls always stay."""
    conditions = cells.conditions
    sizes = Counter(conditions)
    least = card.min_cells or 2
    small = sorted(label for label, size in sizes.items() if size < least)
    if card.min_cells is not None:
        small = [label for label in small if not Perturbation.parse(label).is_control]
        number = sum(sizes[label] for label in small)
        what = f"{len(small)} perturbations with fewer than {least} cells ({number:,} cells)"
        cells.keep(~np.isin(conditions, small), what)
    elif small:
        cells.problems.append(
            Problem(
                f"{len(small)} perturbations of dataset '{card.name}' have fewer than 2 cells, such as "
                f"'{small[0]}'; remove those cells",
                None if any(Perturbation.parse(label).is_control for label in small) else {"min_cells": 2},
            )
        )


def draw_controls(cells: Cells, card: DatasetCard) -> None:
    """Keep as many control cells as the card says, drawn with a fixed seed."""
    controls = np.flatnonzero(cells.labels == CONTROL)
    if card.max_controls is None or len(controls) <= card.max_controls:
        return
    drawn = np.random.default_rng(SEED_OF_CONTROLS).choice(controls, card.max_controls, replace=False)
    kept = cells.labels != CONTROL
    kept[drawn] = True
    cells.keep(kept, f"{len(controls) - card.max_controls:,} of {len(controls):,} control cells")
