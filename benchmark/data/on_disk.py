"""Cells that do not fit into memory: matrices in files, mapped, so that pages are read when they are used.

A mapped matrix is a read-only `scipy.sparse.csr_matrix` like any other. The system reads its pages when they
are touched and forgets them when memory is short; they count neither as data of the process nor in a limit on
it (``ulimit -d``). Whatever copies all of it, such as ``astype``, needs the memory again: go by `row_blocks`.
"""

from __future__ import annotations

import mmap
import os
import resource
import tempfile
import weakref
from copy import deepcopy
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import psutil
from anndata import AnnData
from scipy import sparse

from benchmark.data.blocks import ENTRIES, layers_of, row_blocks
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder

VARIABLE = "BENCHMARK_CELLS"
"""Environment variable that says where cells are kept: ``auto``, ``memory`` or ``disk``."""

SHARE = 0.5
"""Part of the available memory that matrices may take before ``auto`` keeps them on disk."""

LARGE = 2**28
"""Bytes of matrices that are never held twice: they are prepared on disk, and then read."""


def belongs_on_disk(size: int) -> bool:
    """Whether matrices of `size` bytes are to be mapped from disk.

    Raises
    ------
    BenchmarkError
        When ``$BENCHMARK_CELLS`` says neither where nor that it is open.
    """
    chosen = os.environ.get(VARIABLE) or "auto"
    if chosen not in ("auto", "memory", "disk"):
        raise BenchmarkError(f"{VARIABLE} is '{chosen}', but must be 'auto', 'memory' or 'disk'; set it so.")
    return size > SHARE * available_memory() if chosen == "auto" else chosen == "disk"


def prepares_on_disk(size: int) -> bool:
    """Whether matrices of `size` bytes are prepared on disk, from where they are then read or mapped."""
    return belongs_on_disk(size) or (size > LARGE and (os.environ.get(VARIABLE) or "auto") == "auto")


def available_memory() -> int:
    """Bytes that this process may still get: what is free, and what limits on it and its group leave."""
    rooms = [psutil.virtual_memory().available]
    used = psutil.Process().memory_info()
    for limit, taken in ((resource.RLIMIT_AS, used.vms), (resource.RLIMIT_DATA, used.data)):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            rooms.append(soft - taken)
    group = Path("/sys/fs/cgroup/memory.max")
    if group.is_file() and (text := group.read_text().strip()).isdigit():
        rooms.append(int(text) - used.rss)
    return max(0, min(rooms))


class Gathered(Protocol):
    """Takes blocks of rows, and becomes the matrix of all of them."""

    def append(self, block: sparse.csr_matrix) -> None:
        """Take the next rows, float32."""

    def matrix(self) -> sparse.csr_matrix:
        """All rows, float32."""


class InMemory:
    """Blocks that become a matrix in memory."""

    def __init__(self) -> None:
        self._blocks: list[sparse.csr_matrix] = []

    def append(self, block: sparse.csr_matrix) -> None:
        """Keep the next rows."""
        self._blocks.append(block)

    def matrix(self) -> sparse.csr_matrix:
        """Join the blocks."""
        if len(self._blocks) == 1:
            return self._blocks[0]
        return sparse.vstack(self._blocks, format="csr", dtype=np.float32)


class OnDisk:
    """Blocks that become a mapped matrix, in files that vanish with it, or with the process.

    Raises
    ------
    BenchmarkError
        When they cannot be written, such as on a full disk.
    """

    def __init__(self) -> None:
        self._values, self._columns = _nameless_file(), _nameless_file()
        for file in (self._values, self._columns):
            weakref.finalize(self, file.close)  # a mapping outlives its file; this is for what is given up
        self._lengths: list[np.ndarray] = []
        self._width = 0

    def append(self, block: sparse.csr_matrix) -> None:
        """Write the next rows."""
        self._width = block.shape[1]
        self._lengths.append(np.diff(block.indptr))
        try:
            self._values.write(np.ascontiguousarray(block.data, np.float32).data)
            self._columns.write(np.ascontiguousarray(block.indices, np.int32).data)
        except OSError as error:
            raise _cannot_keep(error) from error

    def matrix(self) -> sparse.csr_matrix:
        """Map what was written."""
        starts = np.concatenate([[0], np.cumsum(np.concatenate(self._lengths), dtype=np.int64)])
        size, kind = int(starts[-1]), index_type(int(starts[-1]))
        try:
            columns = self._columns if kind == np.int32 else _widened(self._columns, size)
            for file in (self._values, columns):
                file.flush()
        except OSError as error:
            raise _cannot_keep(error) from error
        with self._values, columns:
            return mapped(self._values, columns, starts, (len(starts) - 1, self._width))


def gathered(on_disk: bool) -> Gathered:
    """Where blocks of rows are kept."""
    return OnDisk() if on_disk else InMemory()


def index_type(stored: int) -> type[np.signedinteger[Any]]:
    """Type of all indices of a matrix with so many stored values; SciPy copies those of another."""
    return np.int32 if stored <= np.iinfo(np.int32).max else np.int64


def mapped(
    values: Any, columns: Any, starts: np.ndarray, shape: tuple[int, int], at: tuple[int, int] = (0, 0)
) -> sparse.csr_matrix:
    """Map a matrix whose parts lie whole and uncompressed in files.

    Parameters
    ----------
    values, columns
        Files, by path or open, of float32 and of indices of the type `index_type`.
    starts
        Where rows begin, (rows + 1,); held in memory.
    shape
        Rows and columns.
    at
        Where both parts begin in their files, in bytes.
    """
    size = int(starts[-1])
    kind = index_type(size)
    if not size:
        return sparse.csr_matrix(shape, dtype=np.float32)
    data = np.memmap(values, np.float32, "r", at[0], (size,))
    indices = np.memmap(columns, kind, "r", at[1], (size,))
    return sparse.csr_matrix((data, indices, starts.astype(kind)), shape=shape)


def is_mapped(matrix: Any) -> bool:
    """Whether the values of a matrix are mapped from a file."""
    base = getattr(matrix, "data", None)
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


def take(adata: AnnData, rows: np.ndarray) -> AnnData:
    """Copy some cells, of X and all layers: to memory, or to disk where they are mapped from there.

    Parameters
    ----------
    adata
        X and layers float32 CSR, in memory or mapped.
    rows
        Which cells, boolean, (cells,).
    """
    some = _rows_on_disk if is_mapped(adata.X) else _rows_in_memory
    copy = AnnData(obs=adata.obs[rows].copy(), var=adata.var.copy(), uns=deepcopy(dict(adata.uns)))
    copy.X = some(adata.X, rows)
    for name, layer in layers_of(adata).items():
        copy.layers[name] = some(layer, rows)
    return copy


def _rows_in_memory(matrix: sparse.csr_matrix, rows: np.ndarray) -> sparse.csr_matrix:
    """Copy rows once; a copy of a view of AnnData copies them twice."""
    return matrix[rows]


def _rows_on_disk(matrix: sparse.csr_matrix, rows: np.ndarray) -> sparse.csr_matrix:
    kept = OnDisk()
    for block in row_blocks(matrix.shape):
        kept.append(matrix[block][rows[block]])
    return kept.matrix()


def _nameless_file() -> BinaryIO:
    """A file without a name, gone when nobody uses it; in the cache, as the usual place may be memory."""
    folder = cache_folder("mapped")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise _cannot_keep(error) from error


def _widened(columns: BinaryIO, size: int) -> BinaryIO:
    """Write indices again as int64, which SciPy wants of a matrix of more than 2^31 values."""
    columns.flush()
    narrow, wide = np.memmap(columns, np.int32, "r", 0, (size,)), _nameless_file()
    for start in range(0, size, ENTRIES):
        wide.write(narrow[start : start + ENTRIES].astype(np.int64).data)
    return wide


def _cannot_keep(error: OSError) -> BenchmarkError:
    return BenchmarkError(
        f"Cells could not be kept on disk in {cache_folder('mapped')} ({error.strerror or error}); "
        "make room, or set BENCHMARK_HOME to another folder."
    )
