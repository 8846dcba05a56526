"""What is doubtful about cells that can be read: said, with what to do about it."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.cards import DatasetCard
from benchmark.data.cells import Cells
from benchmark.data.gene_tables import fitting_table, is_id, table_of
from benchmark.data.labels import CONTROL_LIKE, DATE, LabelReader
from benchmark.data.refusal import Problem
from benchmark.perturbation import CONTROL

if TYPE_CHECKING:
    import pandas as pd

CONTEXT = re.compile(
    r"(.*_)?(cell_?lines?|cell_?types?|tissues?|organs?|organisms?|species|study|studies|datasets?)(_(id|name))?"
)
"""Columns that say of which kind cells are, in small letters and with underscores."""
FEWEST_CELLS = 0.02
"""Share of the cells that makes a value of such a column a context of its own."""
EXAMPLES = 3


def doubts(
    cells: Cells, obs: pd.DataFrame, var: pd.DataFrame, genes: Collection[str], card: DatasetCard
) -> list[Problem]:
    """Return what is doubtful about cells that can be read, with what to do about it.

    Parameters
    ----------
    cells
        Labels as they were read.
    obs, var
        What the source says of its cells and genes.
    genes
        Names of the measured genes.
    card
        How labels were read.
    """
    reader = LabelReader(card, genes)
    return [
        *_unmeasured(cells, reader, var),
        *_without_symbol(cells, reader),
        *_guides(cells, reader),
        *_odd_pairs(cells, reader),
        *_more_controls(cells, reader),
        *_dates(cells, genes),
        *_few_controls(cells),
        *_contexts(cells, obs, card.context_column),
    ]


def _unmeasured(cells: Cells, reader: LabelReader, var: pd.DataFrame) -> list[Problem]:
    """Perturbed genes that are not measured, where they are many, and what names them as labels do."""
    targets = {reader.gene_of_guide(name) or name for name in cells.perturbed}
    missing = targets - reader.genes
    if not targets or len(missing) <= len(targets) // 2:
        return []
    number = len(targets) - len(missing)
    said = f"{number or 'none'} of {len(targets)} perturbed genes {'are' if number > 1 else 'is'} measured"
    columns = {str(name): len(targets & set(var[name].astype(str))) for name in var.columns}
    best = max(columns, key=lambda name: columns[name], default="")
    upper = {gene.upper() for gene in reader.genes}
    if best and columns[best] > number:
        in_column = f"{said}; {columns[best]} are in the column '{best}' of var: --gene-name-column {best}"
        return [Problem(in_column, {"gene_name_column": best})]
    alike = sum(gene.upper() in upper for gene in targets)
    if alike > number:
        in_case = f"{said}; {alike} but for upper and lower case: --ignore-case"
        return [Problem(in_case, {"ignore_case": True})]
    why = _why_unmeasured(targets, reader)
    return [Problem(f"{said} ({why}); methods that look a perturbed gene up know nothing of it")]


def _why_unmeasured(targets: set[str], reader: LabelReader) -> str:
    """What keeps perturbed and measured genes apart: ids on one side, or else a selection of genes."""
    sides = {"measured": reader.genes, "perturbed": targets}
    by_id = [kind for kind, names in sides.items() if sum(map(is_id, names)) > len(names) // 2]
    if len(by_id) != 1:
        return "they were not selected"
    table = fitting_table(reader.genes, targets) or "FILE"
    of_its_own = " gives them the symbols of a table with both" if table == "FILE" else " gives them symbols"
    return f"{by_id[0]} genes are called by Ensembl ids, the others are not: --gene-table {table}{of_its_own}"


def _without_symbol(cells: Cells, reader: LabelReader) -> list[Problem]:
    """Perturbed genes that are called by ids, although a table was to give them symbols."""
    table = table_of(reader.card)
    names = sorted(name for name in cells.perturbed - reader.genes if is_id(name))
    if table is None or not names:
        return []
    return [
        Problem(
            f"{len(names)} perturbed genes keep their ids, such as '{names[0]}', for which the table "
            f"'{table.name}' has no one symbol"
        )
    ]


def _guides(cells: Cells, reader: LabelReader) -> list[Problem]:
    """Labels of guides, of which sisters come into training and test."""
    found = defaultdict(list)
    for name in sorted(cells.perturbed):
        if (gene := reader.gene_of_guide(name)) is not None:
            found[gene].append(name)
    if not found or reader.card.collapse_guides or reader.card.as_labelled:
        return []
    number = sum(map(len, found.values()))
    gene, names = max(found.items(), key=lambda item: len(item[1]))
    shown = " and ".join(f"'{name}'" for name in names[:2])
    effect = "a split would put guides of one gene into training and test; " if len(names) > 1 else ""
    return [
        Problem(
            f"{number} perturbed names look like guides of {len(found)} genes, such as {shown} of {gene}: "
            f"{effect}--collapse-guides reads them as their genes",
            {"collapse_guides": True},
        )
    ]


def _odd_pairs(cells: Cells, reader: LabelReader) -> list[Problem]:
    """Pairs of names that are neither measured nor ever alone, where other names are."""
    pairs = {label: names for label, names in cells.names.items() if len(names) == 2}
    known = reader.genes | {names[0] for names in cells.names.values() if len(names) == 1}
    odd = [label for label, names in pairs.items() if not known.issuperset(names)]
    if not odd or not known & cells.perturbed:
        return []
    separator = reader.card.separator
    return [
        Problem(
            f"{len(odd)} of {len(pairs)} pairs have a name that is neither measured nor ever perturbed "
            f"alone, such as '{odd[0]}'; if '{separator}' is part of one name, give another --separator"
        )
    ]


def _more_controls(cells: Cells, reader: LabelReader) -> list[Problem]:
    """Perturbations that are called like control cells."""
    names = [name for name in cells.perturbed if name not in reader.genes and CONTROL_LIKE.fullmatch(name)]
    if not names:
        return []
    shown = ", ".join(f"'{name}'" for name in sorted(names)[:EXAMPLES])
    options = " ".join(f"--control-label {name}" for name in sorted(names)[:EXAMPLES])
    more = " ..." if len(names) > EXAMPLES else ""
    return [
        Problem(
            f"{len(names)} perturbed names look like control cells ({shown}{more}); if they are: add "
            f"{options}{more}, or a pattern such as --control-label 'NT*'"
        )
    ]


def _dates(cells: Cells, genes: Collection[str]) -> list[Problem]:
    """Genes that a spreadsheet made dates of."""
    found = {"perturbed": cells.perturbed, "measured": genes}
    dates = {kind: sorted(name for name in names if DATE.fullmatch(name)) for kind, names in found.items()}
    return [
        Problem(
            f"{len(names)} {kind} genes are dates that a spreadsheet made of names, such as '{names[0]}' (of "
            "MARCHF1, SEPTIN2, DELEC1 and their like); write their symbols again"
        )
        for kind, names in dates.items()
        if names
    ]


def _few_controls(cells: Cells) -> list[Problem]:
    """Fewer control cells on a side than cells of a usual perturbation: their noise is in every change."""
    sizes = cells.sizes()
    controls = sizes.pop(CONTROL, 0)
    if not sizes or not controls:
        return []
    usual = int(np.median(list(sizes.values())))
    if controls < 4:
        return [
            Problem(
                f"{controls} control cells cannot be divided between methods and real changes: both share "
                "them, and correlations count their noise as agreement; 4 is the least, and "
                f"{2 * usual:,} would be no noisier than a perturbation"
            )
        ]
    if controls < 2 * usual:
        return [
            Problem(
                f"{controls:,} control cells are few: half of them is less than the {usual:,} cells of a "
                f"usual perturbation, and their noise is in every change; below {2 * usual:,} it matters"
            )
        ]
    return []


def _contexts(cells: Cells, obs: pd.DataFrame, context_column: str | None) -> list[Problem]:
    """Columns that say that cells are of different lines, tissues or studies."""
    import pandas as pd

    said = []
    for name in map(str, obs.columns):
        if name == context_column:
            continue
        if not CONTEXT.fullmatch(re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")):
            continue
        values = obs[name][cells.rows].astype(str)
        # Where each value has one perturbation the column says what was perturbed, and not in which cells.
        several = pd.Series(cells.labels).groupby(values.to_numpy()).nunique() > 1
        counts = values.value_counts()
        fewest = FEWEST_CELLS * len(cells.labels)
        common = {str(value): int(n) for value, n in counts.items() if n >= fewest and several[value]}
        if len(common) > 1:
            shown = ", ".join(f"{value} {n:,}" for value, n in list(common.items())[:EXAMPLES])
            said.append(
                Problem(
                    f"the cells are of several kinds by the column '{name}' ({shown}), whose control cells "
                    "would be pooled, so that a change is in part the difference of kinds; --context-column "
                    f"{shlex.quote(name)} measures each against its own, --keep "
                    f"{shlex.quote(f'{name}={next(iter(common))}')} takes one"
                )
            )
    return said
