"""Lists of genes that data sets are cut to: ``datasets/genes/NAME.txt``, one symbol per line."""

from __future__ import annotations

import re

from benchmark.errors import BenchmarkError, unknown
from benchmark.machine.paths import data_files

VARIABLE = re.compile(r"hvg:(\d+)")


def number_of(genes: str | None) -> int | None:
    """Return how many variable genes are asked for, None where a list is named or all are kept."""
    found = VARIABLE.fullmatch(genes or "")
    return int(found[1]) if found else None


def gene_list(name: str) -> tuple[str, ...]:
    """Return the genes of a list in its order; a shipped list goes before a user's of the same name.

    Raises
    ------
    BenchmarkError
        When there is no such list, or it is empty or names a gene twice.
    """
    files = data_files("datasets/genes", ".txt")
    if name not in files:
        raise unknown("gene list", name, {*files, "hvg:2000"})
    genes = tuple(files[name].read_text(encoding="utf-8").split())
    if not genes or len(set(genes)) < len(genes):
        found = f"names {len(genes) - len(set(genes))} genes twice" if genes else "is empty"
        raise BenchmarkError(f"The gene list {files[name]} {found}; correct it.")
    return genes
