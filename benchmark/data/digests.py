"""What a dataset is recognised by, and notes of it: who asks for no cells need not read them.

A note is written when a prepared file was read and checked, and holds for that file as it was: one that was
written again, replaced, or copied from elsewhere has another time of change, which nobody can set, or another
place on the disk, and is read and checked again.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.contexts import COLUMNS, is_varied
from benchmark.errors import BenchmarkError
from benchmark.machine.paths import cache_folder, replacing

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

State = list[int]


def content_digest(adata: AnnData) -> str:
    """Return the SHA-256 of a canonical dataset.

    It covers genes, the perturbation of each cell, its context and batch where there are several, and the
    numbers that the source gave: counts and depth where X was computed from them, since rounding may differ
    between processors; else X, and counts where there are any.
    """
    digest = hashlib.sha256()
    columns = [adata.obs[name] for name in COLUMNS if is_varied(adata.obs, name)]
    for names in (adata.var_names, adata.obs["perturbation"], *columns):
        digest.update(json.dumps([str(name) for name in names]).encode())
    if "depth" in adata.obs:
        digest.update(adata.obs["depth"].to_numpy(dtype="<f8").tobytes())
    else:
        _update(digest, adata.X)
    if "counts" in adata.layers:
        _update(digest, adata.layers["counts"])
    return digest.hexdigest()


def state_of(path: Path) -> State:
    """What tells a file from every other one that could stand in its place."""
    found = os.stat(path)
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def noted_digest(path: Path) -> str | None:
    """The digest of a prepared file; None where it has to be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads(_note(path).read_text())
        if about["state"] == state_of(path):
            return str(about["digest"])
    return None


def note_digest(path: Path, state: State, digest: str) -> None:
    """Note the digest of a prepared file that was read and checked; without room for a note there is none.

    Parameters
    ----------
    path
        The prepared file.
    state
        As it was before it was read; where it is another one now, nothing is noted.
    digest
        Of what was read.
    """
    if noted_digest(path) == digest:
        return
    with suppress(BenchmarkError, OSError):
        if state_of(path) == state:
            with replacing(_note(path)) as draft:
                draft.write_text(json.dumps({"digest": digest, "state": state}))


def _note(path: Path) -> Path:
    return cache_folder("digests") / f"{path.stem}.json"


def _update(digest: hashlib._Hash, matrix: csr_matrix) -> None:
    from benchmark.data.blocks import ENTRIES

    for part, kind in ((matrix.indptr, "<i8"), (matrix.indices, "<i4"), (matrix.data, "<f4")):
        for start in range(0, len(part), ENTRIES):
            digest.update(np.ascontiguousarray(part[start : start + ENTRIES], dtype=kind).data)
