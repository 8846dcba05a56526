"""The prediction archive: an h5ad of predicted cells beside the real controls, as cell-eval reads it.

What X holds is said in ``uns["expression"]``: "log1p", or "counts" where the method handed over counts. Then
the controls are counts, too, and the column "worth" says how many counts per 10,000 one count of a row is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from benchmark.contexts import CONTEXT, values_in_view
from benchmark.counted import PredictedCounts, worth_of_counts
from benchmark.data.blocks import LazyCells, rows_by_label
from benchmark.data.h5ad import write_h5ad
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.evaluation.stored import StoredCells
from benchmark.perturbation import CONTROL, Perturbation

SPARSE_BELOW = 0.5
"""Share of non-zero values under which the compressed sparse form is the smaller one."""


def write_archive(
    path: Path,
    control: AnnData,
    start: pd.DataFrame,
    predicted: Mapping[str, np.ndarray],
    about: Mapping[str, str],
) -> str:
    """Write controls and predicted cells to one compressed h5ad, whole or not at all.

    Its obs columns are "perturbation"; "control_cell", the name of the control cell that the row starts from,
    for a control cell its own; and "sample", which of the cells predicted for that control cell it is.

    Parameters
    ----------
    path
        Where the file goes.
    control
        The real control cells, the same that the real side is compared with.
    start
        What the predictions start from, a row per predicted cell of any perturbation in a context: columns
        "control_cell", "sample" and "context".
    predicted
        float32 (rows of `start` in its context, genes) per perturbation label, log1p of counts per 10,000, or
        `PredictedCounts`.
    about
        Short texts that say where the predictions come from; kept in ``uns``.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    is_counts = isinstance(predicted, PredictedCounts)
    own = predicted.counts if isinstance(predicted, PredictedCounts) else predicted
    cells = np.concatenate(list(own.values()))
    controls = control.layers["counts"] if is_counts else control.X
    sparse = sp.vstack([controls, sp.csr_matrix(cells)], format="csr")
    values = sparse if sparse.nnz < SPARSE_BELOW * np.prod(sparse.shape) else sparse.toarray()
    names = [f"control-{name}" for name in control.obs_names]
    names += [f"predicted-{index}" for index in range(len(cells))]
    archive = AnnData(
        values,
        obs=_origins(control, start, predicted).set_axis(names),
        var=pd.DataFrame(index=control.var_names),
        uns={**about, "expression": "counts" if is_counts else "log1p"},
    )
    write_h5ad(archive, path)
    return file_digest(path)


def _origins(control: AnnData, start: pd.DataFrame, predicted: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """What each row of the archive is: the controls, then `start` for every perturbation."""
    controls = pd.DataFrame({"control_cell": control.obs_names, "sample": 0, "perturbation": CONTROL})
    contexts, rows = values_in_view(start, CONTEXT), start[["control_cell", "sample"]]
    starts = [
        rows[contexts == Perturbation.parse(label).context].assign(perturbation=label) for label in predicted
    ]
    if isinstance(predicted, PredictedCounts):
        controls["worth"] = worth_of_counts(control.X, control.layers["counts"])
        worths = [predicted.worth(label) for label in predicted]
        starts = [each.assign(worth=worth) for each, worth in zip(starts, worths, strict=True)]
    every = pd.concat([controls, *starts])
    return every.astype({"perturbation": "category", "control_cell": "category"})


def read_archive(path: Path, genes: list[str]) -> Mapping[str, Matrix]:
    """Find the predicted cells of each perturbation, controls left out; they are read when asked for.

    Held are the labels and what `StoredCells` says; the cells of a perturbation are read anew each time, so
    the file must stay as it is for as long as the mapping is used.

    Parameters
    ----------
    path
        An archive that `write_archive` or anybody else wrote.
    genes
        The gene order in which columns are returned.

    Returns
    -------
    Mapping
        Label, in alphabetical order -> float32 (cells, genes), log1p of counts per 10,000, sparse where the
        file is; `PredictedCounts` where it holds counts.

    Raises
    ------
    BenchmarkError
        When the file cannot be read, has no column ``perturbation`` or other genes.
    """
    stored = StoredCells.open(Path(path))
    columns, rows = stored.columns(genes), rows_by_label(stored.labels("perturbation"))
    rows.pop(CONTROL, None)
    cells = LazyCells(rows, lambda label: stored.rows(rows[label], columns))
    if stored.expression != "counts":
        return cells
    worth = stored.obs["worth"].to_numpy()
    return PredictedCounts(cells, lambda label, counts: worth[rows[label]])


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
