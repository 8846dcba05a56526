"""Labels that do not mean what they would be read as: a split of them would go wrong, so they are refused."""

from __future__ import annotations

from collections.abc import Collection

from benchmark.data.cards import DatasetCard
from benchmark.data.cells import Cells
from benchmark.data.gene_tables import table_of
from benchmark.data.labels import SEPARATORS, LabelReader
from benchmark.data.refusal import Problem

TOO_MANY = 0.5
"""Share of the pairs with a name that is no gene, above which they are taken for no pairs at all."""
FEWEST_PAIRS = 3
OTHERWISE = ", or say --as-labelled if these are genes"
FEW_LABELS = 0.05
"""Share of the labels that may look like pairs with another separator."""


def wrong_labels(cells: Cells, genes: Collection[str], card: DatasetCard) -> list[Problem]:
    """Return why labels do not mean what they would be read as.

    Parameters
    ----------
    cells
        Labels as they were read.
    genes
        Names of the measured genes.
    card
        How they were read.
    """
    reader = LabelReader(card, genes)
    alone = {names[0] for names in cells.names.values() if len(names) == 1}
    found = [_foreign_table(cells, reader)]
    if not card.as_labelled:
        found += [_torn(cells, reader, alone), _other_separator(cells, reader, alone)]
    return [problem for problem in found if problem is not None]


def _foreign_table(cells: Cells, reader: LabelReader) -> Problem | None:
    """A table of gene ids that knows neither the measured genes nor the perturbed ones."""
    table = table_of(reader.card)
    if table is None or table.known & (reader.genes | cells.perturbed):
        return None
    return Problem(
        f"The gene table '{table.name}' has none of the {len(reader.genes):,} measured genes and none of the "
        "perturbed ones, such as "
        f"'{min(reader.genes)}'; give the table of this organism, or leave --gene-table out"
    )


def _torn(cells: Cells, reader: LabelReader, alone: set[str]) -> Problem | None:
    """Pairs with a name that is neither measured nor ever alone, beside one that is, or beside its gene."""
    spellings = {
        tuple(sorted(names)): (label, names) for label, names in cells.names.items() if len(names) == 2
    }
    pairs = dict(spellings.values())
    known = reader.genes | alone
    torn = {
        label: names
        for label, names in pairs.items()
        if len(known & set(names)) == 1 or (known.isdisjoint(names) and reader.is_guide(label))
    }
    if len(torn) < FEWEST_PAIRS or len(torn) <= TOO_MANY * len(pairs):
        return None
    label, names = next(iter(torn.items()))
    unknown = next(name for name in reversed(names) if name not in known)
    are_guides = all(reader.gene_of_guide(label) for label in torn)
    return Problem(
        f"{len(torn)} of {len(pairs)} pairs have a name that is neither measured nor ever perturbed alone, "
        f"such as '{unknown}' in '{label}'; correct --separator, which is '{reader.card.separator}'"
        + (OTHERWISE if not are_guides else "")
        + (", and read labels of guides with --collapse-guides" if are_guides else ""),
        {"separator": "+", "collapse_guides": True} if are_guides else None,
    )


def _other_separator(cells: Cells, reader: LabelReader, alone: set[str]) -> Problem | None:
    """Labels of one name that is no measured gene, but two known ones with something else between them."""
    known = reader.genes | alone
    singles = [
        label for label, names in cells.names.items() if len(names) == 1 and names[0] not in reader.genes
    ]
    for separator in SEPARATORS:
        if separator == reader.card.separator:
            continue
        fields = {label: label.split(separator) for label in singles if separator in label}
        pairs = [label for label, parts in fields.items() if len(parts) == 2 and known.issuperset(parts)]
        if len(pairs) >= 2 and len(pairs) > FEW_LABELS * len(cells.names):
            return Problem(
                f"{len(pairs)} labels would be single genes, but are two known ones with '{separator}' "
                "between "
                f"them, such as '{pairs[0]}'; correct --separator, which is "
                f"'{reader.card.separator}'{OTHERWISE}",
                {"separator": separator},
            )
    return None
