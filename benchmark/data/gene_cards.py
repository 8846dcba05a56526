"""Cards of published knowledge of genes: priors, and tables of their ids and symbols."""

from __future__ import annotations

from typing import ClassVar

from benchmark.data.cards import FileCard, named_card


class PriorCard(FileCard):
    """What is known about a prior, published knowledge of genes that some methods use.

    Attributes
    ----------
    parts
        Names of the priors that it unites, where it has no file of its own.
    simulated
        The simulated dataset whose modules it is, where it comes from no file.
    """

    kind: ClassVar[str] = "prior"

    parts: tuple[str, ...] = ()
    simulated: str | None = None


class GeneTableCard(FileCard):
    """What is known about a table of gene ids and symbols (`benchmark.data.gene_tables`)."""

    kind: ClassVar[str] = "gene table"


def load_prior_card(name: str) -> PriorCard:
    """Return the card of one prior.

    Raises
    ------
    BenchmarkError
        When there is no such card, or it is not valid.
    """
    return named_card(PriorCard, name, "datasets/priors")


def load_gene_table_card(name: str) -> GeneTableCard:
    """Return the card of one table of gene ids.

    Raises
    ------
    BenchmarkError
        When there is no such card, or it is not valid.
    """
    return named_card(GeneTableCard, name, "datasets/gene_tables", "a table of your own is named by its path")
