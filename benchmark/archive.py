"""The prediction archive: an h5ad of predicted cells beside the real controls, as cell-eval reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData, read_h5ad

from benchmark.errors import BenchmarkError
from benchmark.h5ad import write_h5ad
from benchmark.perturbation import CONTROL

SPARSE_BELOW = 0.5
"""Share of non-zero values under which the compressed sparse form is the smaller one."""


def write_archive(
    path: Path, control: AnnData, predicted: Mapping[str, np.ndarray], about: Mapping[str, str]
) -> str:
    """Write controls and predicted cells to one compressed h5ad, whole or not at all.

    Parameters
    ----------
    path
        Where the file goes.
    control
        The real control cells, the same that the real side is compared with.
    predicted
        float32 (cells, genes) per perturbation label.
    about
        Short texts that say where the predictions come from; kept in ``uns``.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    cells = np.concatenate(list(predicted.values()))
    labels = [CONTROL] * control.n_obs + [name for name, rows in predicted.items() for _ in range(len(rows))]
    sparse = sp.vstack([control.X, sp.csr_matrix(cells)], format="csr")
    values = sparse if sparse.nnz < SPARSE_BELOW * np.prod(sparse.shape) else sparse.toarray()
    names = [f"control-{name}" for name in control.obs_names]
    names += [f"predicted-{index}" for index in range(len(cells))]
    archive = AnnData(
        values,
        obs=pd.DataFrame({"perturbation": pd.Categorical(labels)}, index=names),
        var=pd.DataFrame(index=control.var_names),
        uns=dict(about),
    )
    write_h5ad(archive, path)
    return file_digest(path)


def read_archive(path: Path, genes: list[str]) -> dict[str, sp.csr_matrix | np.ndarray]:
    """Read the predicted cells of each perturbation, controls left out.

    Parameters
    ----------
    path
        An archive that `write_archive` or anybody else wrote.
    genes
        The gene order in which columns are returned.

    Raises
    ------
    BenchmarkError
        When the file cannot be read, has no column ``perturbation`` or other genes.
    """
    try:
        archive = read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise BenchmarkError(f"{path} cannot be read as an h5ad file ({error}); write it again.") from error
    if "perturbation" not in archive.obs:
        raise BenchmarkError(
            f"{path} has no obs column 'perturbation'; add the label of each predicted cell."
        )
    if set(archive.var_names) != set(genes):
        raise BenchmarkError(
            f"{path} holds {archive.n_vars} genes that are not the {len(genes)} of the data set; "
            "predict exactly those."
        )
    archive = archive[:, genes]
    labels = archive.obs["perturbation"].astype(str).to_numpy()
    return {label: archive.X[labels == label] for label in sorted(set(labels) - {CONTROL})}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
