"""Tables of gene ids and symbols: where a file names genes by ids, and labels by symbols, or the other way.

Ids become symbols on both sides. A gene whose symbol is not certain keeps the name that it has.
"""

from __future__ import annotations

import functools
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmark.data.cards import DatasetCard
from benchmark.data.download import find, known_checksum, nearby, sha256_of
from benchmark.data.gene_cards import load_gene_table_card
from benchmark.errors import BenchmarkError

HUMAN = "hgnc"
"""The table that is proposed for human genes."""
ENDINGS = (".tsv", ".txt", ".csv")
IDS = ("ensembl_gene_id", "gene_stable_id", "ensembl_id", "ensembl", "gene_id", "id")
SYMBOLS = (
    "symbol",
    "approved_symbol",
    "hgnc_symbol",
    "gene_symbol",
    "gene_name",
    "external_gene_name",
)
"""What columns are called by HGNC, BioMart and the like, in small letters and with underscores."""
ID = re.compile(r"(ENS[A-Z]*G\d{11})(?:\.\d+)?")
HUMAN_ID = re.compile(r"(?<![A-Za-z0-9])ENSG\d{11}")
EXAMPLE = "give CSV or TSV with the columns id and symbol, or what HGNC or BioMart writes"


class Renamed(NamedTuple):
    """Names of genes after ids became symbols, in their order, and a sentence that counts them."""

    names: list[str]
    note: str


@dataclass(frozen=True)
class GeneTable:
    """Which symbol each id has.

    Attributes
    ----------
    name
        Of its card, or of its file.
    symbols
        Id, without a version, -> its symbol.
    ambiguous
        Ids with several symbols.
    known
        All symbols.
    """

    name: str
    symbols: Mapping[str, str]
    ambiguous: frozenset[str]
    known: frozenset[str]

    def symbol(self, name: str) -> str:
        """Return the symbol of an id, and any other name as it is."""
        return self.symbols.get(bare(name), name)

    def rename(self, names: Sequence[str]) -> Renamed:
        """Give genes the symbols of their ids; where two would have the same name, both keep theirs."""
        wanted = [self.symbol(name) for name in names]
        number = Counter(wanted)
        renamed = [new if number[new] == 1 else old for old, new in zip(names, wanted, strict=True)]
        pairs = list(zip(names, wanted, renamed, strict=True))
        found = sum(old != new for old, _, new in pairs)
        unclear = [old for old, want, new in pairs if bare(old) in self.ambiguous or (old == new != want)]
        absent = {old for old, want, _ in pairs if old == want} - self.known - set(unclear)
        missing = [name for name in names if name in absent]
        said = f"{found:,} of {len(names):,} genes are ids that have symbols in the table '{self.name}'"
        for some, what in ((missing, "not in it"), (unclear, "ambiguous")):
            said += f"; {len(some):,} {what}, such as '{some[0]}'" if some else ""
        return Renamed(renamed, said + (", keep their names" if missing or unclear else ""))


def bare(name: str) -> str:
    """Return an Ensembl id without its version, and any other name as it is."""
    found = ID.fullmatch(name)
    return found[1] if found else name


def is_id(name: str) -> bool:
    """Whether a gene is called by its Ensembl id."""
    return ID.fullmatch(name) is not None


def table_of(card: DatasetCard) -> GeneTable | None:
    """Return the table that a card names, None where it names none.

    Raises
    ------
    BenchmarkError
        When it cannot be had or read.
    """
    if card.gene_table is None:
        return None
    path = _file(card.gene_table)
    state = path.stat()
    return _kept(card.gene_table, path, state.st_mtime_ns, state.st_size)


def table_checksum(name: str) -> str:
    """Return the SHA-256 of a table, by the name of its card or its path."""
    known = None if is_table_file(name) else known_checksum(load_gene_table_card(name))
    return known or sha256_of(_file(name))


def is_table_file(name: str) -> bool:
    """Whether a table is named by its path."""
    return name.removesuffix(".gz").endswith(ENDINGS)


def at_hand(name: str) -> bool:
    """Whether a table is on this machine, so that no download is needed."""
    return is_table_file(name) or nearby(load_gene_table_card(name)) is not None


def fitting_table(genes: Collection[str], labels: Collection[str]) -> str | None:
    """Name the table that fits where either genes or labels are ids of human genes, the others not."""
    return HUMAN if _are_human_ids(genes) != _are_human_ids(labels) else None


def _are_human_ids(names: Collection[str]) -> bool:
    return 2 * sum(HUMAN_ID.search(name) is not None for name in names) >= max(1, len(names))


def _file(name: str) -> Path:
    path = Path(name) if is_table_file(name) else find(load_gene_table_card(name))
    if not path.is_file():
        raise BenchmarkError(f"There is no file {path} to read gene ids from; check the path.")
    return path


@functools.lru_cache(maxsize=4)
def _kept(name: str, path: Path, changed: int, size: int) -> GeneTable:
    """Read a table, again only where its file is another one."""
    return read_gene_table(path, path.name if is_table_file(name) else name)


def read_gene_table(path: Path, name: str) -> GeneTable:
    """Read a table of ids and symbols: CSV or TSV, with ``.gz`` behind it or not.

    Raises
    ------
    BenchmarkError
        When it is no table, or has no column of ids or of symbols.
    """
    try:
        rows = _rows(path)
    except (OSError, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BenchmarkError(
            f"{path} cannot be read as a table of gene ids ({reason}); {EXAMPLE}."
        ) from error
    found: defaultdict[str, set[str]] = defaultdict(set)
    for gene, symbol in rows:
        if gene.strip() and symbol.strip():
            found[bare(gene.strip())].add(symbol.strip())
    return GeneTable(
        name,
        {gene: next(iter(symbols)) for gene, symbols in found.items() if len(symbols) == 1},
        frozenset(gene for gene, symbols in found.items() if len(symbols) > 1),
        frozenset[str]().union(*found.values()),
    )


def _rows(path: Path) -> Iterable[tuple[str, str]]:
    """Id and symbol of each row; without names of columns, as 10x writes features, they are the first two."""
    import pandas as pd

    with gzip.open(path, "rt") if path.name.endswith(".gz") else path.open(encoding="utf-8-sig") as lines:
        first = lines.readline().rstrip("\r\n")
    separator = "\t" if "\t" in first else ","
    cells = [cell.strip('" ') for cell in first.split(separator)]
    has_names = ID.fullmatch(cells[0]) is None
    ids, symbols = (_place(cells, known) for known in (IDS, SYMBOLS)) if has_names else (0, 1)
    table = pd.read_csv(
        path,
        sep=separator,
        dtype=str,
        header=0 if has_names else None,
        usecols=[ids, symbols],
        keep_default_na=False,
        encoding="utf-8-sig",
    )
    return zip(table.iloc[:, int(ids > symbols)], table.iloc[:, int(symbols > ids)], strict=True)


def _place(cells: Sequence[str], known: Sequence[str]) -> int:
    """Which column has a name that is known, the first of these that there is."""
    written = [re.sub(r"[^a-z0-9]+", "_", cell.lower()).strip("_") for cell in cells]
    place = next((written.index(name) for name in known if name in written), None)
    if place is None:
        raise ValueError(f"no column is called {known[0]} or the like, but {', '.join(cells[:8])}")
    return place
