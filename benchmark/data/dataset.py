"""Datasets, ready for use: found or simulated, brought into canonical form, and kept in a cache.

Whoever only asks what a dataset is waits for no cells, so what reads them is imported when they are read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from benchmark.data import download
from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard, Expression, list_cards, load_card
from benchmark.data.digests import content_digest, note_digest, noted_digest, state_of
from benchmark.data.genes import gene_list
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder

if TYPE_CHECKING:
    from anndata import AnnData

PREPARATION_VERSION = 1
"""Raised whenever `canonicalise` gives other data than before; older prepared files are then not used."""

_log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Dataset:
    """A dataset in canonical form.

    Attributes
    ----------
    name
        The card's name, or the file's without its ending.
    adata
        As `benchmark.data.canonical.canonicalise` describes it.
    digest
        SHA-256 of its content, see `content_digest`.
    card
        Where it comes from and how it was read.
    """

    name: str
    adata: AnnData
    digest: str
    card: DatasetCard


class _Unread(Dataset):
    """A dataset whose cells are read when they are first asked for."""

    def __init__(self, card: DatasetCard, digest: str, load: Callable[[], Dataset]) -> None:
        vars(self).update(name=card.name, digest=digest, card=card, _load=load)

    @cached_property
    def adata(self) -> AnnData:
        """The cells, which must be those of the digest."""
        loaded: Dataset = vars(self)["_load"]()
        if loaded.digest != self.digest:
            raise BenchmarkError(f"The data of '{self.name}' have just changed; repeat the command.")
        return loaded.adata


class _Source(NamedTuple):
    """Where a dataset comes from, by what it is recognised, and what makes the canonical form of it."""

    card: DatasetCard
    checksum: str
    canonical: Callable[[], AnnData]


def load_dataset(
    name: str,
    *,
    perturbation_column: str | None = None,
    control_label: str | None = None,
    separator: str | None = None,
    expression: Expression | None = None,
) -> Dataset:
    """Load a dataset by the name of its card, or any ``.h5ad`` by its path.

    Parameters
    ----------
    name
        "simulated", "norman19", ..., or a path that ends in ``.h5ad``.
    perturbation_column, control_label
        Needed for a path: the column of ``obs`` with the labels, and the label of control cells.
    separator
        What stands between the two genes of a label ("+" unless said).
    expression
        What ``X`` holds: "counts", or "log1p" of normalised counts, which is taken unless said.

    Raises
    ------
    BenchmarkError
        When there is no such dataset or its content cannot be used.
    """
    options = {
        "perturbation_column": perturbation_column,
        "control_label": control_label,
        "separator": separator,
        "expression": expression,
    }
    return _load(_source(name, {option: value for option, value in options.items() if value is not None}))


def find_dataset(name: str, **options: Any) -> Dataset:
    """Find a dataset as `load_dataset` does, but read its cells when they are first asked for.

    What it is recognised by was noted when it was last read and checked; where there is no note that fits the
    prepared file, it is read at once.
    """
    source = _source(name, options)
    digest = noted_digest(_prepared_file(source.card, source.checksum))
    return _load(source) if digest is None else _Unread(source.card, digest, lambda: _load(source))


def _source(name: str, options: Mapping[str, str]) -> _Source:
    card = card_of(name, options)
    if name.endswith(".h5ad"):
        return _Source(card, download.sha256_of(Path(name)), lambda: _canonical(card, Path(name)))
    if card.simulator is not None:
        from benchmark.data.simulator import embedded

        return _Source(card, embedded.recipe(card), lambda: canonicalise(source_cells(card), card))
    checksum = download.known_checksum(card)
    if checksum is None:
        download.find(card)
        checksum = download.known_checksum(card)
    return _Source(card, str(checksum), lambda: _canonical_download(card))


def card_of(name: str, options: Mapping[str, str]) -> DatasetCard:
    """Return the card of a dataset, or for a path one that says how to read it; no cells are read.

    Raises
    ------
    BenchmarkError
        When there is no such dataset, or the options do not fit it.
    """
    if name.endswith(".h5ad"):
        return _card_of_file(Path(name), options)
    card = load_card(name)
    if options:
        option = next(iter(options)).replace("_", "-")
        raise BenchmarkError(f"--{option} is for .h5ad files and the card of '{name}' says it; leave it out.")
    return card


def source_cells(card: DatasetCard) -> AnnData:
    """Return the cells of a card as its file or the simulator has them, before they are prepared."""
    if card.simulator is not None:
        from benchmark.data.simulator import embedded

        return embedded.cells(card)
    with download.opened(card, download.find(card)) as path:
        return read(path)


def availability(card: DatasetCard) -> str:
    """Say where the cells of a dataset come from when it is loaded next."""
    if card.simulator is not None:
        return "simulated here"
    checksum = download.known_checksum(card)
    if (checksum and _prepared_file(card, checksum).exists()) or download.nearby(card):
        return "on this machine"
    return "downloaded on first use" if card.url else f"missing: put {card.local_file} into BENCHMARK_DATA"


def read(path: Path) -> AnnData:
    """Read an ``.h5ad``.

    Raises
    ------
    BenchmarkError
        When it is missing, truncated or something else.
    """
    from anndata import read_h5ad

    if not path.is_file():
        raise BenchmarkError(f"There is no file {path}; check the path.")
    with _readable(path), warnings.catch_warnings():
        # Repeated names are refused or made unique by `canonicalise`, which says so better.
        warnings.filterwarnings("ignore", message=".*names are not unique", category=UserWarning)
        return read_h5ad(path)


class UnreadableError(BenchmarkError):
    """A file is damaged, or no .h5ad."""


@contextmanager
def _readable(path: Path, kind: type[Exception] = Exception) -> Iterator[None]:
    """Say in one sentence that a file cannot be read, whatever h5py or anndata raise for it."""
    try:
        yield
    except BenchmarkError:
        raise
    except kind as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableError(f"{path} cannot be read as an .h5ad file ({reason}); get it again.") from error


def _canonical_download(card: DatasetCard) -> AnnData:
    with download.opened(card, download.find(card)) as path:
        return _canonical(card, path)


def _canonical(card: DatasetCard, path: Path) -> AnnData:
    """Bring a file into canonical form, block by block where it is large and its rows can be read alone."""
    from benchmark.data.h5ad import matrix_bytes, open_rows
    from benchmark.data.on_disk import belongs_on_disk

    with _readable(path):
        cells = open_rows(path) if belongs_on_disk(matrix_bytes(path)) else None
    if cells is None:
        return canonicalise(read(path), card)
    with _readable(path, OSError):
        return canonicalise(cells, card, on_disk=True)


def _load(source: _Source) -> Dataset:
    """Return the prepared dataset, made from its source where it is not in the cache yet."""
    card, checksum, canonical = source
    path = _prepared_file(card, checksum)
    dataset = _read_prepared(card, path) if path.exists() else None
    if dataset is None:
        _write_prepared(canonical(), path)
        dataset = _read_prepared(card, path)
    if dataset is None:
        raise BenchmarkError(f"{path} changed while it was read; delete it and check the disk.")
    return dataset


def _prepared_file(card: DatasetCard, checksum: str) -> Path:
    genes = card.genes and gene_list(card.genes)
    recipe = json.dumps([card.model_dump(), checksum, PREPARATION_VERSION, genes], sort_keys=True)
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return cache_folder("prepared") / f"{card.name}-{key}.h5ad"


def _write_prepared(adata: AnnData, path: Path) -> None:
    """Write uncompressed, for fast reading."""
    from benchmark.data.h5ad import write_h5ad, write_mapped_h5ad
    from benchmark.data.on_disk import is_mapped

    adata.uns["digest"] = content_digest(adata)
    if is_mapped(adata.X):
        write_mapped_h5ad(adata, path)
    else:
        write_h5ad(adata, path, compress=False)


def _read_prepared(card: DatasetCard, path: Path) -> Dataset | None:
    """Read a prepared file, or map it where it is large; None where it is damaged, to be made again."""
    from benchmark.data.h5ad import map_h5ad, matrix_bytes
    from benchmark.data.on_disk import belongs_on_disk

    try:
        with _readable(path):
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
    return Dataset(card.name, adata, digest, card)


def _card_of_file(path: Path, options: Mapping[str, str]) -> DatasetCard:
    if not path.is_file():
        raise BenchmarkError(f"There is no file {path}; check the path.")
    for needed in ("perturbation_column", "control_label"):
        if needed not in options:
            option = needed.replace("_", "-")
            raise BenchmarkError(f"{path} is a file without a card; say how to read it with --{option}.")
    try:
        return DatasetCard.model_validate({"name": _name_of_file(path), **options})
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise BenchmarkError(f"--{option} is '{first['input']}', but: {first['msg']}.") from error


def _name_of_file(path: Path) -> str:
    """Return the file's name, kept apart from the names of cards."""
    name = re.sub(r"[^\w.-]+", "_", path.stem)
    return f"{name}.file" if name in {card.name for card in list_cards()} else name
