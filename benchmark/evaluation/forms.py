"""Forms in which others hand in predictions: columns of cell-eval2 and of the challenge, and its packages."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.evaluation.stored import StoredCells
from benchmark.machine.extras import named_where_missing
from benchmark.perturbation import CONTROL

CONTEXT = "context"
PACKAGE = ".vcc"
MEMBER = "pred.h5ad.zst"
CHUNK = 2**22


class Labels(NamedTuple):
    """Column, label of control cells and separator of two genes."""

    column: str
    control: str
    separator: str


OURS = Labels("perturbation", CONTROL, "+")
CHALLENGE = Labels("target_gene", "non-targeting", "+")
CELL_EVAL = Labels("target", "non-targeting", "+")


def labels_of(stored: StoredCells, asked: Labels, of_data: Labels) -> Labels:
    """Return how a file says what a row is: as asked, as a known form does, or as the data do."""
    if asked.column in stored.obs:
        return asked
    forms = (OURS, CHALLENGE, CELL_EVAL, of_data)
    return next((form for form in forms if form.column in stored.obs), asked)


def rows_of_context(stored: StoredCells, context: str | None, labels: Labels) -> np.ndarray | None:
    """Return the rows of one context, ascending; None for all rows of a file without contexts.

    Parameters
    ----------
    stored
        The file.
    context
        The context that is scored; may be left out where the file has one alone.
    labels
        How it says what a row is.

    Raises
    ------
    BenchmarkError
        When the file has several contexts and none is named, or another; and where a submission to the
        challenge, which has contexts, holds control cells.
    """
    if CONTEXT not in stored.obs:
        if context is not None:
            raise BenchmarkError(
                f"{stored.path} has no obs column '{CONTEXT}', so nothing of it is of context '{context}'; "
                "leave out --context, or label its cells."
            )
        return None
    of_cells = stored.labels(CONTEXT)
    known = sorted(set(of_cells))
    if context is None and len(known) > 1:
        raise BenchmarkError(
            f"{stored.path} holds the contexts {', '.join(known)}; say with --context which this data set is."
        )
    if context is not None and context not in known:
        raise BenchmarkError(
            f"{stored.path} holds no cells of context '{context}', but of {', '.join(known)}; name one."
        )
    controls = int((stored.labels(labels.column) == labels.control).sum())
    if controls:
        raise BenchmarkError(
            f"{stored.path} holds {controls} control cells ('{labels.control}'), but a submission with "
            "contexts holds predictions alone, which are measured against the real ones; leave them out."
        )
    return np.flatnonzero(of_cells == (context or known[0]))


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give the .h5ad of a package of the challenge for as long as the block lasts; any other file as it is.

    Raises
    ------
    BenchmarkError
        When it is no such package, or damaged.
    """
    if path.suffix != PACKAGE:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        inside = Path(folder) / f"{path.stem}.h5ad"
        try:
            _unpack(path, inside)
        except (OSError, tarfile.TarError, KeyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BenchmarkError(
                f"{path} cannot be read as a package of `vcc prep` ({reason}); pack it again."
            ) from error
        yield inside


def _unpack(path: Path, inside: Path) -> None:
    with named_where_missing():
        import pyarrow

    with tarfile.open(path, "r:*") as package:
        member = package.extractfile(MEMBER)
        if member is None:
            raise KeyError(f"{MEMBER} is no file in it")
        with pyarrow.CompressedInputStream(member, "zstd") as stream, inside.open("wb") as file:
            while chunk := stream.read(CHUNK):
                file.write(chunk)
