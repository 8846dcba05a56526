"""Prepared files: data in canonical form as they are kept, and when they are made again."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.cards import DatasetCard
from benchmark.data.digests import content_digest, note_digest, state_of
from benchmark.data.gene_tables import table_checksum
from benchmark.data.genes import gene_list, number_of
from benchmark.data.source import UnreadableError, read, readable
from benchmark.machine.paths import cache_folder

if TYPE_CHECKING:
    from anndata import AnnData

FOR_PEOPLE = {"name", "title", "licence", "citation", "notes", "url", "local_file", "member", "sha256"}
"""Fields of a card that do not change what is prepared."""

LATER = {"context_column", "batch_column"}
"""Fields that older prepared files know nothing of; a card without them has these files."""

PREPARATION_VERSION = 1
"""Raised whenever `canonicalise` gives other data than before; older prepared files are then not used."""

_log = logging.getLogger("benchmark")


def prepared_file(card: DatasetCard, checksum: str) -> Path:
    """Return where the canonical form of a card's file with a checksum is kept, read in this very way."""
    genes = card.genes and number_of(card.genes) is None and gene_list(card.genes)
    table = card.gene_table and table_checksum(card.gene_table)
    absent = {name for name in LATER if getattr(card, name) is None}
    said = card.model_dump(exclude=FOR_PEOPLE | absent)
    recipe = json.dumps([said, checksum, PREPARATION_VERSION, genes, table], sort_keys=True)
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return cache_folder("prepared") / f"{card.name}-{key}.h5ad"


def write_prepared(adata: AnnData, path: Path) -> None:
    """Write uncompressed, for fast reading."""
    from benchmark.data.h5ad import write_h5ad, write_mapped_h5ad
    from benchmark.data.on_disk import is_mapped

    adata.uns["digest"] = content_digest(adata)
    if is_mapped(adata.X):
        write_mapped_h5ad(adata, path)
    else:
        write_h5ad(adata, path, compress=False)


def read_prepared(path: Path) -> tuple[AnnData, str] | None:
    """Read a prepared file, or map it where it is large; None where it is damaged, to be made again."""
    from benchmark.data.h5ad import map_h5ad, matrix_bytes
    from benchmark.data.on_disk import belongs_on_disk

    try:
        with readable(path):
            state = state_of(path)
            adata = map_h5ad(path) if belongs_on_disk(matrix_bytes(path)) else read(path)
        digest = str(adata.uns.pop("digest"))
        intact = content_digest(adata) == digest
    except (UnreadableError, KeyError):
        intact = False
    if not intact:
        _log.warning("%s is damaged and is made again.", path)
        return None
    note_digest(path, state, digest)
    return adata, digest
