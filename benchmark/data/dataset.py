"""Datasets, ready for use: found or simulated, brought into canonical form, and kept in a cache.

Whoever only asks what a dataset is waits for no cells, so what reads them is imported when they are read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.data import download, files
from benchmark.data.canonical import canonicalise
from benchmark.data.cards import DatasetCard, load_card
from benchmark.data.digests import noted_digest
from benchmark.data.prepared import prepared_file, read_prepared, write_prepared
from benchmark.data.source import canonical_download, canonical_file, source_cells
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from anndata import AnnData

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


def load_dataset(name: str, **reading: Any) -> Dataset:
    """Load a dataset by the name of its card, or any ``.h5ad`` by its path.

    Parameters
    ----------
    name
        "simulated", "norman19", ..., a path that ends in ``.h5ad``, or what a file was called before.
    reading
        How a file is read, as the fields of `benchmark.data.cards.DatasetCard` say; None is as good as
        nothing. A path without a card needs perturbation_column, the column of ``obs`` with the labels, and
        control_label; "log1p" is expected unless expression says "counts".

    Raises
    ------
    BenchmarkError
        When there is no such dataset or its content cannot be used.
    """
    return _load(_source(name, reading))


def find_dataset(name: str, **reading: Any) -> Dataset:
    """Find a dataset as `load_dataset` does, but read its cells when they are first asked for.

    What it is recognised by was noted when it was last read and checked; where there is no note that fits the
    prepared file, it is read at once.
    """
    source = _source(name, reading)
    digest = noted_digest(prepared_file(source.card, source.checksum))
    if digest is None:
        return _load(source)
    return _Unread(_named(source.card, digest), digest, lambda: _load(source))


def _source(name: str, reading: Mapping[str, Any]) -> _Source:
    card = card_of(name, reading)
    if card.is_by_path:
        return _Source(
            card, download.checksum_in_place(card), lambda: canonical_file(card, Path(str(card.local_file)))
        )
    if card.simulator is not None:
        from benchmark.data.simulator import embedded

        return _Source(card, embedded.recipe(card), lambda: canonicalise(source_cells(card), card))
    checksum = download.known_checksum(card)
    if checksum is None:
        download.find(card)
        checksum = download.known_checksum(card)
    return _Source(card, str(checksum), lambda: canonical_download(card))


def card_of(name: str, reading: Mapping[str, Any]) -> DatasetCard:
    """Return the card of a dataset, or for a path one that says how to read it; no cells are read.

    Raises
    ------
    BenchmarkError
        When there is no such dataset, or the options do not fit it.
    """
    options = {option: value for option, value in reading.items() if value is not None}
    if name.endswith(".h5ad"):
        return files.card_of_file(Path(name), options)
    if Path(name).suffix and Path(name).exists():
        raise BenchmarkError(
            f"{name} is no .h5ad file, the one kind that is read; write its cells with anndata's write_h5ad "
            "to a name that ends in .h5ad."
        )
    card = files.known(name) or load_card(name)
    if options:
        option = next(iter(options)).replace("_", "-")
        raise BenchmarkError(f"--{option} is for .h5ad files and the card of '{name}' says it; leave it out.")
    return card


def add_file(path: Path, reading: Mapping[str, Any], name: str | None = None) -> tuple[Dataset, Path]:
    """Read a file, and write the card that reads it so again.

    Parameters
    ----------
    path
        An ``.h5ad``.
    reading
        As for `load_dataset`.
    name
        What it is called; as the file unless said.

    Returns
    -------
    tuple
        The dataset, and where its card is.

    Raises
    ------
    BenchmarkError
        When the file cannot be used, or there is another dataset of this name; no card is written then.
    """
    card = files.card_of_file(path, reading)
    checksum = download.checksum_in_place(card)
    card = files.named(card, name or files.name_of(path))
    dataset = _prepared(_Source(card, checksum, lambda: canonical_file(card, path)))
    return dataset, files.add_card(card, checksum)


def availability(card: DatasetCard) -> str:
    """Say where the cells of a dataset come from when it is loaded next."""
    if card.simulator is not None:
        return "simulated here"
    checksum = download.known_checksum(card)
    if (checksum and prepared_file(card, checksum).exists()) or download.nearby(card):
        return "on this machine"
    return "downloaded on first use" if card.url else f"missing: put {card.local_file} into BENCHMARK_DATA"


def _load(source: _Source) -> Dataset:
    """Return the prepared dataset under its name."""
    dataset = _prepared(source)
    card = _named(source.card, dataset.digest)
    return replace(dataset, name=card.name, card=card)


def _prepared(source: _Source) -> Dataset:
    """Return the prepared dataset, made from its source where it is not in the cache yet."""
    card, checksum, canonical = source
    path = prepared_file(card, checksum)
    found = read_prepared(path) if path.exists() else None
    if found is None:
        cells = canonical()
        if card.is_by_path:
            _describe(card)
        write_prepared(cells, path)
        del cells
        found = read_prepared(path)
    if found is None:
        raise BenchmarkError(f"{path} changed while it was read; delete it and check the disk.")
    return Dataset(card.name, *found, card)


def _describe(card: DatasetCard) -> None:
    """Say what a file holds when it is read for the first time."""
    from benchmark.data.describe import describe
    from benchmark.data.file_text import as_text
    from benchmark.data.refusal import reading

    about = describe(Path(str(card.local_file)), reading(card), is_settled=True)
    _log.log(logging.WARNING if about.warnings else logging.INFO, "%s\n", as_text(about, with_command=False))


def _named(card: DatasetCard, digest: str) -> DatasetCard:
    """Give a file that has no card a name of its own: other cells never share it."""
    return files.registered(card, digest) if card.is_by_path else card
