"""Files in the form .h5ad: written whole or not at all; large ones read by block and mapped."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from anndata import AnnData
from anndata.io import read_elem, sparse_dataset, write_elem
from scipy import sparse

from benchmark.data.blocks import ENTRIES, layers_of, row_blocks
from benchmark.data.on_disk import OnDisk, index_type, mapped
from benchmark.machine.paths import replacing


def write_h5ad(adata: AnnData, path: Path, *, compress: bool = True) -> None:
    """Write `adata` to `path` so that readers see the whole file or none.

    The file is composed in memory: where a disk fills up, the HDF5 library prints pages and may crash
    the process when it closes what it could not write.

    Raises
    ------
    BenchmarkError
        When the file cannot be written, such as on a full disk.
    """
    buffer = io.BytesIO()
    compression = {"compression": "gzip", "compression_opts": 4} if compress else {}
    with h5py.File(buffer, "w") as file:
        write_elem(file, "/", adata, dataset_kwargs=compression)
    # The view is given back whatever happens: a buffer that is still looked at cannot be closed.
    with replacing(path) as draft, draft.open("wb") as file, buffer.getbuffer() as view:
        file.write(view)


def matrix_bytes(path: Path, matrix: str = "X") -> int:
    """How much memory a matrix and the counts of an .h5ad take: sparse as they are, dense as float32."""
    with h5py.File(path, "r") as file:
        return sum(_bytes_of(file[name]) for name in {matrix, "layers/counts"} if name in file)


def has_readable_rows(file: h5py.File, matrix: str = "X") -> bool:
    """Whether rows of a matrix and of counts can be read, and names are written as since anndata 0.7."""
    modern = all("encoding-type" in file[part].attrs for part in ("obs", "var"))
    counts = "layers/counts" not in file or is_by_row(file["layers/counts"])
    return modern and matrix in file and is_by_row(file[matrix]) and counts


def open_rows(path: Path, matrix: str = "X") -> AnnData | None:
    """Open an .h5ad whose matrices are read when they are indexed; None where rows cannot be read alone.

    The file stays open for as long as the answer is used.

    Parameters
    ----------
    path
        The file.
    matrix
        Where the matrix is that becomes X: ``X``, ``layers/NAME`` or ``raw/X``, which has genes of its own.
    """
    file = h5py.File(path, "r")
    if not has_readable_rows(file, matrix):
        file.close()
        return None
    is_raw = matrix == "raw/X"
    var = read_elem(file["raw/var" if is_raw else "var"])
    adata = AnnData(rows_of(file[matrix]), obs=read_elem(file["obs"]), var=var)
    if "layers/counts" in file and not is_raw and matrix != "layers/counts":
        adata.layers["counts"] = rows_of(file["layers/counts"])
    return adata


def map_h5ad(path: Path) -> AnnData:
    """Read an .h5ad whose X and layers are CSR: these are mapped, copied first if they are compressed."""
    with h5py.File(path, "r") as file:
        adata = AnnData(
            _mapped(file["X"], path),
            obs=read_elem(file["obs"]),
            var=read_elem(file["var"]),
            uns=read_elem(file["uns"]),
        )
        for name, layer in file["layers"].items():
            adata.layers[name] = _mapped(layer, path)
    return adata


def write_mapped_h5ad(adata: AnnData, path: Path) -> None:
    """Write cells whose X and layers are mapped to a file that can be mapped, whole or not at all.

    Room for the matrices is reserved in the file, and filled without the HDF5 library, which may crash the
    process where a disk fills up.

    Raises
    ------
    BenchmarkError
        When the file cannot be written, such as on a full disk.
    """
    with replacing(path) as draft:
        parts: list[tuple[int, np.ndarray]] = []
        with h5py.File(draft, "w") as file:
            write_elem(file, "/", AnnData(obs=adata.obs, var=adata.var, uns=adata.uns))
            parts += _reserved(file.create_group("X"), adata.X)
            for name, layer in layers_of(adata).items():
                parts += _reserved(file["layers"].create_group(name), layer)
        with draft.open("r+b") as raw:
            for place, values in parts:
                raw.seek(place)
                for start in range(0, len(values), ENTRIES):
                    raw.write(values[start : start + ENTRIES].data)


def _bytes_of(stored: h5py.Group | h5py.Dataset) -> int:
    if isinstance(stored, h5py.Dataset):
        return 4 * int(np.prod(stored.shape, dtype=np.int64))
    return sum(stored[part].dtype.itemsize * len(stored[part]) for part in ("data", "indices", "indptr"))


def is_by_row(stored: h5py.Group | h5py.Dataset) -> bool:
    """Whether rows of a stored matrix can be read alone."""
    return isinstance(stored, h5py.Dataset) or stored.attrs.get("encoding-type") == "csr_matrix"


def rows_of(stored: h5py.Group | h5py.Dataset) -> Any:
    """Give a stored matrix in a form that is read when it is indexed."""
    return stored if isinstance(stored, h5py.Dataset) else sparse_dataset(stored)


def _mapped(stored: h5py.Group, path: Path) -> sparse.csr_matrix:
    data, indices = stored["data"], stored["indices"]
    places = data.id.get_offset(), indices.id.get_offset()
    right = data.dtype == np.float32 and indices.dtype == index_type(len(data))
    shape = tuple(map(int, stored.attrs["shape"]))
    if None not in places and right:
        return mapped(path, path, stored["indptr"][:], (shape[0], shape[1]), places)
    rows, copied = sparse_dataset(stored), OnDisk()
    for block in row_blocks((shape[0], shape[1])):
        copied.append(rows[block])
    return copied.matrix()


def _reserved(group: h5py.Group, matrix: sparse.csr_matrix) -> list[tuple[int, np.ndarray]]:
    """Make room for a matrix, as anndata stores one; returns what belongs where in the file."""
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": matrix.shape})
    group.create_dataset("indptr", data=matrix.indptr)
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    early.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    parts = []
    for name, values in (("data", matrix.data), ("indices", matrix.indices)):
        space, kind = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
        dataset = h5py.h5d.create(group.id, name.encode(), kind, space, early)
        parts.append((dataset.get_offset(), values))
    return parts
