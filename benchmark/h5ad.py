"""Write .h5ad files whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
from anndata import AnnData
from anndata.io import write_elem

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
    with replacing(path) as draft:
        draft.write_bytes(buffer.getbuffer())
