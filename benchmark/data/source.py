"""The cells of a source, as its file has them, and the way from there to the canonical form."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data import download
from benchmark.data.blocks import layers_of
from benchmark.data.canonical import canonicalise, label_problems
from benchmark.data.cards import DatasetCard
from benchmark.data.refusal import Problem, RefusedDataError, advice, mended
from benchmark.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    from anndata import AnnData


class UnreadableError(BenchmarkError):
    """A file is damaged, or no .h5ad."""


def source_cells(card: DatasetCard) -> AnnData:
    """Return the cells of a card as its file or the simulator has them, before they are prepared.

    X is the matrix that the card reads.
    """
    if card.simulator is not None:
        from benchmark.data.simulator import embedded

        return embedded.cells(card)
    if card.is_by_path:
        return with_matrix(read(Path(str(card.local_file))), card)
    with download.opened(card, download.find(card)) as path:
        return with_matrix(read(path), card)


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
    with readable(path), warnings.catch_warnings():
        # Repeated names are refused or made unique by `canonicalise`, which says so better.
        warnings.filterwarnings("ignore", message=".*names are not unique", category=UserWarning)
        return read_h5ad(path)


@contextmanager
def readable(path: Path, kind: type[Exception] = Exception) -> Iterator[None]:
    """Say in one sentence that a file cannot be read, whatever h5py or anndata raise for it."""
    try:
        yield
    except BenchmarkError:
        raise
    except kind as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        what_to_do = "get it again"
        if isinstance(error, BlockingIOError) or "unable to lock" in reason:
            what_to_do = "another program has it open: close it there, or set HDF5_USE_FILE_LOCKING=FALSE"
        raise UnreadableError(f"{path} cannot be read as an .h5ad file ({reason}); {what_to_do}.") from error


def with_matrix(adata: AnnData, card: DatasetCard) -> AnnData:
    """Return cells with the matrix that a card reads as X."""
    from anndata import AnnData

    if card.matrix == "X":
        return adata
    if card.raw:
        if adata.raw is None:
            raise _no_matrix(card, ["X", *(f"layers/{name}" for name in layers_of(adata))])
        return AnnData(adata.raw.X, obs=adata.obs, var=adata.raw.var)
    if card.layer not in adata.layers:
        raise _no_matrix(card, [f"layers/{name}" for name in layers_of(adata)])
    layers = {
        name: values for name, values in adata.layers.items() if name == "counts" and name != card.layer
    }
    return AnnData(adata.layers[card.layer], obs=adata.obs, var=adata.var, layers=layers)


def canonical_download(card: DatasetCard) -> AnnData:
    """Bring the file of a card into canonical form."""
    with download.opened(card, download.find(card)) as path:
        return canonical_file(card, path)


def canonical_file(card: DatasetCard, path: Path) -> AnnData:
    """Bring a file into canonical form, block by block where its rows can be read alone.

    Raises
    ------
    BenchmarkError
        When it cannot be used: with all that is wrong, and the command that reads it if there is one.
    """
    from benchmark.data.h5ad import matrix_bytes, open_rows
    from benchmark.data.on_disk import prepares_on_disk

    with readable(path):
        cells = open_rows(path, card.matrix)
        on_disk = prepares_on_disk(matrix_bytes(path, card.matrix))
    if cells is None:
        cells = with_matrix(read(path), card)
    try:
        with readable(path, OSError):
            return canonicalise(cells, card, on_disk=on_disk)
    except RefusedDataError as refused:
        problems = [_with_other_matrix(problem, card, path) for problem in refused.problems]
        mends = mended(card, problems, partial(label_problems, cells.obs, cells.var))
        raise RefusedDataError(problems, advice(card, mends)) from None


def _with_other_matrix(problem: Problem, card: DatasetCard, path: Path) -> Problem:
    """Add what other matrix of the file would do, where values are the problem and nothing else mends it."""
    from benchmark.data.matrices import best_matrix, matrices

    if not problem.of_values or problem.mend is not None:
        return problem
    other = best_matrix([found for found in matrices(path) if found.place != card.matrix])
    if other is None:
        return problem
    said = f"{problem.sentence}; {other.place} holds {other.scale}: read it with {other.option}"
    return replace(problem, sentence=said, mend=other.reading)


def _no_matrix(card: DatasetCard, known: list[str]) -> BenchmarkError:
    return unknown("matrix", card.matrix, known, "`python -m benchmark datasets describe FILE` lists them")
