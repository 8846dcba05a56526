"""The matrices of a file, each known by a few of its cells: X, layers and ``.raw``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.sparse import csr_matrix

from benchmark.data.h5ad import is_by_row, rows_of
from benchmark.data.rows import raw_rows, some_cells
from benchmark.data.scale import Scale, find_scale

SMALL = 2**27
"""Bytes of a matrix compressed by column that is read whole; of a larger one stored values are looked at."""


@dataclass(frozen=True)
class Matrix:
    """What some cells of a matrix tell.

    Attributes
    ----------
    place
        Where it is in the file: ``X``, ``layers/NAME`` or ``raw/X``.
    genes
        How many it has.
    stored
        How: ``csr``, ``csc`` or ``dense``, and the type of numbers.
    scale
        What its values are.
    depth
        Median sum of a cell, where these are counts.
    zeros
        Share of values that are zero; None where it was not looked for.
    """

    place: str
    genes: int
    stored: str
    scale: Scale
    depth: float | None
    zeros: float | None

    @property
    def reading(self) -> dict[str, Any]:
        """Fields of a card that read it."""
        expression = "counts" if self.scale.kind == "counts" else "log1p"
        where = {"X": {}, "raw/X": {"raw": True}}.get(
            self.place, {"layer": self.place.removeprefix("layers/")}
        )
        return {**where, "expression": expression}

    @property
    def option(self) -> str:
        """The option of the command line that reads it."""
        return {"X": "no option", "raw/X": "--raw"}.get(
            self.place, f"--layer {self.place.removeprefix('layers/')}"
        )

    @property
    def is_usable(self) -> bool:
        """Whether it holds counts, or what can be made log1p of counts per 10,000."""
        return self.scale.kind == "counts" or self.scale.is_exact


def matrices(path: Path) -> list[Matrix]:
    """Look at the matrices of an .h5ad, without reading them whole."""
    with h5py.File(path, "r") as file:
        return [_look(file, place) for place in _places(file)]


def best_matrix(found: Sequence[Matrix]) -> Matrix | None:
    """Return counts before normalised values, in the order of the file; None where nothing can be used."""
    usable = sorted(
        (matrix for matrix in found if matrix.is_usable), key=lambda one: one.scale.kind != "counts"
    )
    return usable[0] if usable else None


def _places(file: h5py.File) -> Iterator[str]:
    layers = file.get("layers", {})
    yield from (place for place in ("X", *(f"layers/{name}" for name in layers), "raw/X") if place in file)


def _look(file: h5py.File, place: str) -> Matrix:
    stored = file[place]
    is_dense = isinstance(stored, h5py.Dataset)
    shape = tuple(map(int, stored.shape if is_dense else stored.attrs["shape"]))
    values = stored if is_dense else stored["data"]
    kind = "dense" if is_dense else str(stored.attrs["encoding-type"]).removesuffix("_matrix")
    cells = _some_cells(stored)
    whole = cells if cells is not None else csr_matrix(_some_values(values).reshape(1, -1))
    scale = find_scale(whole, values.dtype == np.float16)
    if cells is None and scale.kind != "counts":
        scale = scale if scale.kind in ("signed", "odd") else Scale("unknown")
    sums = None if cells is None else np.asarray(cells.sum(axis=1)).ravel()
    return Matrix(
        place,
        shape[1],
        f"{kind}, {values.dtype}",
        scale,
        float(np.median(sums)) if sums is not None and scale.kind == "counts" else None,
        None if cells is None else float(1 - cells.nnz / max(1, np.prod(cells.shape))),
    )


def _some_cells(stored: Any) -> csr_matrix | None:
    """Some cells; None of a large matrix whose rows cannot be read alone."""
    if is_by_row(stored):
        rows = rows_of(stored)
        return some_cells(rows, np.ones(rows.shape[0], dtype=bool))
    if sum(stored[part].nbytes for part in ("data", "indices", "indptr")) > SMALL:
        return None
    matrix = raw_rows(rows_of(stored)[:], None)
    return some_cells(matrix, np.ones(matrix.shape[0], dtype=bool))


def _some_values(values: h5py.Dataset) -> np.ndarray:
    starts = np.linspace(0, max(0, len(values) - 4096), 16).astype(int)
    return np.concatenate([values[start : start + 4096] for start in starts]).astype(np.float64)
