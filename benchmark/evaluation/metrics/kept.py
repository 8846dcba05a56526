"""What is worked out of one side alone, kept for whoever asks next, and of real cells on disk.

Every method that is scored on the same real cells needs the same tests and distances of these. They are kept
by content: the key is made of the control cells, of the singles, of sums over the cells and over the genes of
the perturbation, so that other cells have another under whatever name, and of the code that computes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from benchmark.errors import BenchmarkError
from benchmark.machine.paths import replacing

if TYPE_CHECKING:
    from benchmark.evaluation.metrics.reference import Reference
    from benchmark.evaluation.metrics.sorted_cells import SortedCells


MOST_BYTES = 2**30
"""Of all that is kept in a folder."""


class Kept:
    """Arrays that follow from one side alone, by name.

    Parameters
    ----------
    path
        The file that they are read from and written to; none where they are kept in memory alone.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._found: dict[str, np.ndarray] = {}
        if path is not None:
            # A damaged file is as good as none: what was in it is computed again.
            with suppress(OSError, ValueError, EOFError, BadZipFile), path.open("rb") as file:
                arrays = np.load(file, allow_pickle=False)
                self._found = {name: arrays[name] for name in arrays.files}
                os.utime(path)  # what is used stays
        self._old = set(self._found)

    def get(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Return what is kept under a name, or compute it and keep it now."""
        if name not in self._found:
            self._found[name] = compute()
        return self._found[name]

    def save(self) -> None:
        """Write what is new to the file, if there is one and room for it."""
        if self._path is None or self._found.keys() == self._old:
            return
        with suppress(BenchmarkError, OSError), replacing(self._path) as draft, draft.open("wb") as file:
            np.savez(file, **self._found)  # type: ignore[arg-type]
        self._old = set(self._found)


def kept_of_real(
    folder: Path, reference: Reference, label: str, cells: np.ndarray, sums: SortedCells
) -> Kept:
    """Find what is kept of the real cells of a perturbation.

    Parameters
    ----------
    folder
        Where files are kept.
    reference
        What the cells are measured against.
    label
        The perturbation, whose singles count.
    cells
        float32, (cells, genes).
    sums
        The same cells, sorted.
    """
    digest = hashlib.sha256(reference.digest)
    for name in label.split("+"):
        if name in reference.singles:
            digest.update(reference.singles[name].mean.tobytes())
    for array in (sums.mean, sums.variance, sums.count_mean, np.array([sums.n_cells])):
        digest.update(array.tobytes())
    # Sums over genes tell cells from those whose genes were shuffled, each by itself; cells have no order.
    of_cells = np.stack([cells.sum(axis=1, dtype=np.float64), np.einsum("cg,cg->c", cells, cells)])
    digest.update(np.sort(of_cells, axis=1).tobytes())
    return Kept(folder / code_digest()[:12] / f"{digest.hexdigest()[:32]}.npz")


@contextmanager
def bounded(folder: Path, most: int | None = None) -> Iterator[Path]:
    """Give a folder to keep things in; afterwards what was not used for longest goes, until there is room.

    Parameters
    ----------
    folder
        Where files are kept.
    most
        Bytes that may stay; `MOST_BYTES` unless said.
    """
    yield folder
    room = MOST_BYTES if most is None else most
    with suppress(OSError):  # another process may remove the same
        files = [(path.stat(), path) for path in folder.rglob("*.npz")]
        for about, path in sorted(files, key=lambda file: -file[0].st_mtime):
            room -= about.st_size
            if room < 0:
                path.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of the code of all metrics and of the versions that they compute with."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files))
    digest.update("".join(version(name) for name in ("numpy", "scipy", "numba", "scikit-learn")).encode())
    return digest.hexdigest()
