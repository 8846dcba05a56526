"""Screens that are kept on disk, and processes that may not hold them in memory."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from textwrap import indent

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import write_elem
from scipy import sparse

from tests.machine.process_case import environment

OPTIONS = {"perturbation_column": "gene", "control_label": "none"}
SINGLES = [f"g{number}" for number in range(8)]
LABELS = ["none", *SINGLES, *(f"{a}+{b}" for a, b in pairwise(SINGLES))]

LIMITED = """
import resource
from pathlib import Path
{imports}

def work(path):
{work}

work({small!r})
line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line)
limit = int(line.split()[1]) * 1024 + {room}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
print(work({large!r}))
"""


def write_large(path: Path, cells: int, genes: int = 2000, seed: int = 0) -> int:
    """Write log1p values of random cells, about half of them zero; returns the bytes that X takes."""
    rng = np.random.default_rng(seed)
    stored = np.sort(rng.permuted(np.tile(np.arange(genes, dtype=np.int32), (64, 1)), axis=1)[:, ::2], axis=1)
    width = stored.shape[1]
    columns = stored[rng.integers(64, size=cells)].ravel()
    values = rng.random(cells * width, dtype=np.float32) + np.float32(0.1)
    x = sparse.csr_matrix((values, columns, np.arange(0, cells * width + 1, width)), shape=(cells, genes))
    names = [f"c{row}" for row in range(cells)]
    obs = pd.DataFrame({"gene": np.resize(LABELS, cells)}, index=names)
    adata = AnnData(x, obs=obs, var=pd.DataFrame(index=[f"g{number}" for number in range(genes)]))
    with h5py.File(path, "w") as file:
        write_elem(file, "/", adata)
    return x.data.nbytes + x.indices.nbytes


def run_limited(
    imports: str, work: str, small: Path, large: Path, room: int
) -> subprocess.CompletedProcess[str]:
    """Do work with a large file in a process that may get `room` more bytes of memory for data than it has.

    It has done the same work with a small file by then. What libraries keep from their first call on, such as
    threads, buffers and what they compile for this processor, is no part of what the work needs for a file.
    It prints what the work returns.
    """
    code = LIMITED.format(
        imports=imports, work=indent(work, "    "), small=str(small), large=str(large), room=room
    )
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**environment(), **threads}
    )
