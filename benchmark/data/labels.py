"""Labels of perturbations as sources write them: what they name, and what they look as if they named."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase

from benchmark.data.cards import DatasetCard
from benchmark.data.gene_tables import table_of
from benchmark.perturbation import CONTROL_LABELS

SEPARATORS = ("+", "|", ";", ",", "&", "_plus_", "__", "_", "-")
"""What is known to stand between two genes."""

MARKED = re.compile(
    r"(?P<gene>.+?)_(?:(?:sg|sgRNA|gRNA|guide|g|pDS|pBA|pMJ)?[-_]?\d+|P1P2|P1|P2|[ACGT]{15,})(?:_\d+)?"
)
"""A guide beyond doubt, since no gene symbol has an underscore: ``KLF1_2``, ``KLF1_sg2``, ``KLF1_pDS101``."""

LIKELY = re.compile(r"(?:p[_-])?(?:sg[_-]?)?(?P<gene>.+?)(?:[.\-:_ ]?(?:sg|g)[-_]?\d+|[.\-:_ ]\d+)?")
"""A guide where what is left is a measured gene: ``KLF1-2``, ``KLF1g2``, ``sgKLF1``."""

CONTROL_LIKE = re.compile(
    r"(?i:ctrl|control|neg(?:ative)?[-_ ]?(?:ctrl|control)?|non[-_ ]?target(?:ing)?|ntc?g?|scrambled?|"
    r"safe[-_ ]?(?:harbor|targeting)|unperturbed|mock|intergenic|aavs1|rosa26|lacz|luciferase|e?gfp)"
    r"(?:[-_ .]?(?:sg|g)?\d+)*"
)
"""What control cells are usually called."""

DATE = re.compile(
    r"(?:\d{1,2}-(?:mar|sep|sept|dec|oct|apr|feb|nov)|(?:mar|sep|sept|dec|oct|apr|feb|nov)-\d{1,2}|"
    r"\d{4}-\d{2}-\d{2}(?: 00:00:00)?)",
    re.IGNORECASE,
)
"""What a spreadsheet makes of genes such as MARCH1, SEPT2 and DEC1."""


class LabelReader:
    """Reads labels as a card says.

    Parameters
    ----------
    card
        Says what control cells are called, what stands between genes, whether guides are collapsed, and by
        which table ids become symbols.
    genes
        Names of the measured genes.
    """

    def __init__(self, card: DatasetCard, genes: Collection[str]) -> None:
        self.card = card
        self.genes = frozenset(genes)
        self._by_case = {gene.upper(): gene for gene in sorted(self.genes)} if card.ignore_case else {}
        self._table = table_of(card)
        self._exact = frozenset(card.controls)
        self._patterns = [label for label in card.controls if "*" in label or "?" in label]
        halves = [set(label.split(card.separator)) for label in card.controls]
        self._fillers = self._exact | {name for half in halves if len(half) == 1 for name in half}
        if self._exact & CONTROL_LABELS:
            self._fillers |= CONTROL_LABELS

    def names(self, label: str) -> tuple[str, ...]:
        """Return the genes that a label names, each once, in its order; none for control cells.

        An empty name is returned as it is, for whoever refuses it.
        """
        if label in self._exact or self._fits(label):
            return ()
        written = self.fields(label)
        if self.card.collapse_guides:
            written = [name if (gene := self.gene_of_guide(name)) is None else gene for name in written]
        named = [self._symbol(name) for name in written if name not in self._fillers and not self._fits(name)]
        return tuple(dict.fromkeys(self._by_case.get(name.upper(), name) for name in named))

    def fields(self, label: str) -> list[str]:
        """Divide a label at its separators, but not within the name of a measured gene, such as HLA-A."""
        separator = self.card.separator
        parts = [part.strip() for part in label.split(separator)]
        fields: list[str] = []
        while parts:
            length = next(
                (
                    length
                    for length in range(len(parts), 1, -1)
                    if separator.join(parts[:length]) in self.genes
                    and not self.genes.issuperset(parts[:length])
                ),
                1,
            )
            fields.append(separator.join(parts[:length]))
            parts = parts[length:]
        return fields

    def gene_of_guide(self, name: str) -> str | None:
        """Return the gene of a name that looks like one of its guides, else None."""
        if name in self.genes or name in self._exact:
            return None
        for pattern, is_certain in ((MARKED, True), (LIKELY, False)):
            found = pattern.fullmatch(name)
            if found and (is_certain or found["gene"] in self.genes) and found["gene"] != name:
                return found["gene"]
        return None

    def is_guide(self, name: str) -> bool:
        """Whether a name is that of a guide, whatever genes are measured."""
        return MARKED.fullmatch(name) is not None

    def _symbol(self, name: str) -> str:
        """Return the symbol of an id, unless a measured gene is called by the id itself."""
        return name if self._table is None or name in self.genes else self._table.symbol(name)

    def _fits(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)
