"""Priors: published knowledge of genes, such as terms of the Gene Ontology or edges of a network."""

from __future__ import annotations

import gzip
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from benchmark.data.cards import load_card
from benchmark.data.download import find, nearby
from benchmark.data.gene_cards import PriorCard, load_prior_card
from benchmark.data.simulator import embedded
from benchmark.errors import BenchmarkError, unknown

_log = logging.getLogger("benchmark")

GO_TERM = re.compile(r"GO:\d{7}")
FIRST_CELL = re.compile(r'^"?(?P<name>.*\(GO:\d{7}\))"?,(?P<gene>[^,"]+)$')
"""How the libraries of 2018 begin a line: name and first gene share a cell."""
SYMBOL, QUALIFIER, TERM = 2, 3, 4
"""Columns of the Gene Annotation File format 2.2, from 0."""

FALLBACK = "go_basic"
"""The gene sets that stand in for those of a data set's card where these are nowhere to be had."""

ENDS = ("source", "target")
"""Columns of a list of edges."""


def read_edges(path: Path) -> pd.DataFrame:
    """Read a CSV file with the columns source and target, one edge a row, such as CollecTRI's.

    Other columns, such as a weight, are not read.

    Returns
    -------
    pandas.DataFrame
        Names of genes, without spaces around them, in the columns source and target.

    Raises
    ------
    BenchmarkError
        When the file is missing, is no such table, has no row, or has a row without a name.
    """
    if not path.is_file():
        raise BenchmarkError(f"There is no file {path} to read edges from; check the path.")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if not isinstance(table.index, pd.RangeIndex):  # pandas takes the first column for names of rows
            raise ValueError("its rows have more fields than its header")
    except (ValueError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise BenchmarkError(
            f"{path} cannot be read as a list of edges ({reason}); give a CSV file with the columns "
            "source and target."
        ) from error
    for column in ENDS:
        if column not in table:
            raise unknown(f"column in {path}", column, map(str, table.columns))
        table[column] = table[column].str.strip()
        empty = int((table[column] == "").sum())
        if empty:
            raise BenchmarkError(
                f"{path} has {empty} edges without a {column}; complete or remove those rows."
            )
    if table.empty:
        raise BenchmarkError(f"{path} has no edges; give one row for each edge.")
    return table[list(ENDS)]


def gene_sets(name: str) -> dict[str, frozenset[str]]:
    """Return the gene sets of a prior.

    Parameters
    ----------
    name
        Name of a prior's card, or path to a ``.gmt`` or ``.gaf`` file, with ``.gz`` behind it or not.

    Returns
    -------
    dict
        Term -> symbols of its genes; terms without genes are left out.

    Raises
    ------
    BenchmarkError
        When there is no such prior, or its file cannot be had or read.
    """
    if _is_file(name):
        return _read(Path(name).expanduser())
    return _of_card(load_prior_card(name))


def suited(name: str) -> str:
    """Name the gene sets to use for data whose card names some.

    Parameters
    ----------
    name
        What the card names, as for `gene_sets`.

    Returns
    -------
    str
        The same, or `FALLBACK` where a file of it is not on this machine and has no public address; a line
        says so then.
    """
    if _is_file(name) or _can_be_had(load_prior_card(name)):
        return name
    _log.warning(
        "The gene sets '%s' are not on this machine and have no public address: '%s' stand in for them, and "
        "what is predicted differs.",
        name,
        FALLBACK,
    )
    return FALLBACK


def _is_file(name: str) -> bool:
    return any(name.endswith(ending) or name.endswith(f"{ending}.gz") for ending in READERS)


def _can_be_had(card: PriorCard) -> bool:
    if card.parts:
        return all(_can_be_had(load_prior_card(part)) for part in card.parts)
    return card.simulated is not None or card.url is not None or nearby(card) is not None


def _of_card(card: PriorCard) -> dict[str, frozenset[str]]:
    if card.simulated is not None:
        modules = embedded.load_truth(load_card(card.simulated)).modules
        return {f"module of {gene}": frozenset((gene, *targets)) for gene, targets in modules.items()}
    if card.parts:
        return {term: genes for part in card.parts for term, genes in gene_sets(part).items()}
    return _read(find(card))


def _read(path: Path) -> dict[str, frozenset[str]]:
    name = path.name.removesuffix(".gz")
    reader = READERS[Path(name).suffix]
    if not path.is_file():
        raise BenchmarkError(f"There is no file {path} to read gene sets from; check the path.")
    sets: dict[str, set[str]] = defaultdict(set)
    try:
        with gzip.open(path, "rt") if path.name.endswith(".gz") else path.open(encoding="utf-8") as lines:
            for term, genes in reader(lines):
                sets[term].update(genes)
    except (OSError, EOFError, ValueError) as error:
        raise BenchmarkError(f"{path} cannot be read as gene sets ({error}); get the file again.") from error
    if not any(sets.values()):
        raise BenchmarkError(f"{path} has no gene sets; give a file with one set a line (GMT) or a GAF file.")
    return {term: frozenset(genes) for term, genes in sets.items() if genes}


def _gmt(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Name, description and genes of each set, between tabs; the name is cut to its GO term if it has one."""
    for number, line in enumerate(lines, start=1):
        first, *rest = line.rstrip("\n").split("\t")
        merged = FIRST_CELL.match(first)
        if merged:
            first, genes = merged["name"], [merged["gene"], *rest]
        elif len(rest) >= 2:
            genes = rest[1:]
        elif line.strip():
            raise ValueError(f"line {number} is no gene set")
        else:
            continue
        term = GO_TERM.search(first)
        yield term[0] if term else first, [gene.strip() for gene in genes if gene.strip()]


def _gaf(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Direct annotations of genes to terms; those that say NOT are left out."""
    for number, line in enumerate(lines, start=1):
        if line.startswith("!") or not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) <= TERM:
            raise ValueError(f"line {number} has {len(cells)} columns, not 17")
        if "NOT" not in cells[QUALIFIER].split("|"):
            yield cells[TERM], [cells[SYMBOL]]


READERS = {".gmt": _gmt, ".gaf": _gaf}
