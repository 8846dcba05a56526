"""Predictions that came from anywhere: an .h5ad file, read, checked and brought into what is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix

from benchmark.data import Dataset
from benchmark.data.blocks import LazyCells, rows_by_label
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.independence import Originals
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.evaluation.stored import StoredCells
from benchmark.evaluation.vetting import Vetting
from benchmark.machine.progress import stage
from benchmark.means import MovableCells
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.predicting import CELLS, FALLBACK, sample_cells
from benchmark.registry import load_method
from benchmark.splits import Split
from benchmark.splits.views import cells_by_label, control_cells, held_out_cells, training_views

Predicts = Literal["cells", "mean"]
WRITTEN_HERE = ("perturbation", CONTROL, "+")
"""Column, label of control cells and separator of files that this project writes."""
STANDARD_ERRORS = 6
"""How far the mean of submitted control cells may be off before they count as other cells."""


@dataclass(frozen=True)
class Submission:
    """Predictions for the test perturbations of a split, ready to be scored.

    Attributes
    ----------
    predicted
        Test perturbation, in the order of the split -> float32 (cells, genes), log1p CP10K. Cells are read
        from the file, or made, whenever they are asked for.
    fallbacks
        Perturbations that the file lacks, with that reason; the train mean stands in their place.
    predicts
        What was submitted: single cells, or means.
    cells
        The fewest cells that any perturbation has in `predicted`.
    notes
        What whoever submitted should know: one sentence each, without a full stop.
    """

    predicted: Mapping[str, Matrix]
    fallbacks: dict[str, str]
    predicts: Predicts
    cells: int
    notes: list[str]


def read_submission(
    path: Path,
    dataset: Dataset,
    split: Split,
    *,
    perturbation_column: str = "perturbation",
    control_label: str = CONTROL,
    separator: str = "+",
    predicts: Predicts = "cells",
    cells: int = CELLS,
    seed: int = 0,
    allow_missing: bool = False,
) -> Submission:
    """Read predictions and check every cell that is scored.

    Genes are put in order by their names, labels are read in any spelling (``B+A``, ``A+ctrl``), and
    perturbations outside the test part are left out. Control cells are not needed: those of the file are
    never used. The file is read twice, perturbation by perturbation: here, and when it is scored.

    Parameters
    ----------
    path
        An .h5ad file: cells x genes, X dense or sparse, log1p of counts per 10,000.
    dataset, split
        What was predicted.
    perturbation_column, control_label, separator
        How the file says what a row is; where it has no such column, as this project does (`WRITTEN_HERE`),
        or as the data do. Labels in the spelling of the data are known, whatever these say.
    predicts
        ``"cells"``: each row is a cell. ``"mean"``: the mean of the rows of a perturbation is all that
        counts, and `cells` control cells are moved until they have it (`benchmark.means`).
    cells
        So many are scored per perturbation, drawn without replacement where there are more.
    seed
        Of that draw, and of the control cells that are moved.
    allow_missing
        Whether a test perturbation may be missing; it is scored as the train mean.

    Raises
    ------
    BenchmarkError
        When the file cannot be read or scored: the sentence says why and what to do.
    """
    if predicts not in ("cells", "mean"):
        raise unknown("kind of prediction", predicts, ("cells", "mean"))
    if cells < 2 or not separator:
        raise BenchmarkError(
            f"At least 2 cells per perturbation are scored, not {cells}, and the separator of two genes is "
            f"not empty, but '{separator}'; correct them."
        )
    stored = StoredCells.open(path)
    if not len(stored.obs):
        raise BenchmarkError(f"{path} holds no cells; predict the {len(split.test)} test perturbations.")
    card = dataset.card
    if perturbation_column not in stored.obs and WRITTEN_HERE[0] in stored.obs:
        perturbation_column, control_label, separator = WRITTEN_HERE
    elif perturbation_column not in stored.obs and card.perturbation_column in stored.obs:
        perturbation_column, control_label, separator = (
            card.perturbation_column,
            card.controls[0],
            card.separator,
        )
    spelt = dict(zip(dataset.adata.obs["source_label"], dataset.adata.obs["perturbation"], strict=True))
    rows, notes = _rows_of_tests(stored, split, perturbation_column, control_label, separator, spelt)
    columns = stored.columns(dataset.adata.var_names)
    control = control_cells(dataset, split)
    every = cells_by_label(dataset, [CONTROL])[CONTROL]
    notes += _foreign_controls(stored, rows.pop(CONTROL, None), columns, every)
    missing = [label for label in split.test if label not in rows]
    if missing and not allow_missing:
        raise BenchmarkError(
            f"{path} has no cells of {len(missing)} of the {len(split.test)} test perturbations, such as "
            f"'{missing[0]}'; predict them, or have them scored as the train mean with --allow-missing."
        )
    if predicts == "cells":
        rows = _drawn(path, rows, cells, seed)
    vetting = Vetting(
        stored.path, control.X, Originals(held_out_cells(dataset, split)), copies=predicts == "mean"
    )
    notes += _vetted(stored, rows, columns, vetting)
    start = sample_cells(control, cells, seed)
    movable = MovableCells(start.X.toarray()) if predicts == "mean" else None
    guess = _train_mean(dataset, split, start) if missing else {}

    def make(label: str) -> Matrix:
        if label not in rows:
            return guess[label]
        if movable is None:
            return stored.rows(rows[label], columns)
        mean = np.asarray(stored.rows(rows[label], columns, np.float64).mean(axis=0)).ravel()
        return movable.to(mean).astype(np.float32)

    fewest = min(map(len, rows.values())) if predicts == "cells" else start.n_obs
    reason = "it is not in the submission"
    return Submission(LazyCells(split.test, make), dict.fromkeys(missing, reason), predicts, fewest, notes)


def _rows_of_tests(
    stored: StoredCells,
    split: Split,
    column: str,
    control_label: str,
    separator: str,
    spelt: Mapping[str, str],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Rows of the control and of each test perturbation that the file has, whatever its spelling there."""
    found: dict[str, list[np.ndarray]] = {}
    ignored = []
    for written, rows in rows_by_label(stored.labels(column)).items():
        label = _canonical(written, separator, control_label)
        if label != CONTROL and label not in split.groups:
            label = spelt.get(written)
        if label == CONTROL or label in split.groups:
            found.setdefault(label, []).append(rows)
        else:
            ignored.append(written)
    if not found.keys() - {CONTROL}:
        some = ", ".join(f"'{label}'" for label in ignored[:3]) or "only control cells"
        raise BenchmarkError(
            f"The obs column '{column}' of {stored.path} names no test perturbation of {split.dataset} "
            f"{split.scheme}-{split.seed}, such as '{split.test[0]}', but {some}; label cells so, or choose "
            "the column and the --separator of two genes."
        )
    notes = (
        [f"{len(ignored)} labels that are not in the test part are left out, such as '{ignored[0]}'"]
        if ignored
        else []
    )
    return {label: np.sort(np.concatenate(parts)) for label, parts in found.items()}, notes


def _canonical(written: str, separator: str, control_label: str) -> str | None:
    try:
        return str(Perturbation.parse(written, separator=separator, control_label=control_label))
    except BenchmarkError:  # of no perturbation that can be in a test part
        return None


def _foreign_controls(
    stored: StoredCells, rows: np.ndarray | None, columns: np.ndarray, control: csr_matrix
) -> list[str]:
    """Say so where the control cells of the file are no draw from the real ones.

    The standard error of the mean of n out of N cells is s sqrt((1 - n / N) / n), so that all of them must
    have the very mean (Cochran, "Sampling Techniques", 1977, theorem 2.2).
    """
    if rows is None:
        return []
    mean = np.asarray(stored.rows(rows, columns).mean(axis=0, dtype=np.float64)).ravel()
    real = control.toarray()
    error = real.std(axis=0, dtype=np.float64) * np.sqrt(max(1 / len(rows) - 1 / len(real), 0))
    off = np.abs(mean - real.mean(axis=0, dtype=np.float64))
    if (off <= STANDARD_ERRORS * error + 1e-4).all():
        return []
    return [
        f"its {len(rows)} control cells are not those of the data set (a mean is off by {off.max():.3g}); "
        "they are not used, and responses are measured against the real ones"
    ]


def _drawn(path: Path, rows: dict[str, np.ndarray], cells: int, seed: int) -> dict[str, np.ndarray]:
    """At most `cells` rows of each perturbation."""
    few = [label for label, found in rows.items() if len(found) < 2]
    if few:
        raise BenchmarkError(
            f"{len(few)} perturbations have fewer than 2 cells in {path}, such as '{few[0]}'; predict more, "
            "or, where rows are means, say --predicts mean."
        )
    return {
        label: np.sort(np.random.default_rng(seed).choice(found, cells, replace=False))
        if len(found) > cells
        else found
        for label, found in rows.items()
    }


def _vetted(
    stored: StoredCells, rows: dict[str, np.ndarray], columns: np.ndarray, vetting: Vetting
) -> list[str]:
    """Look at every cell that is scored; return what is unusual."""
    with stage("check", len(rows)) as progress:
        for label, found in rows.items():
            block = stored.rows(found, columns)
            vetting.look(label, block if isinstance(block, np.ndarray) else block.toarray())
            progress.advance()
    return vetting.conclude()


def _train_mean(dataset: Dataset, split: Split, start: AnnData) -> Mapping[str, Matrix]:
    """What the method `FALLBACK` predicts for each test perturbation."""
    method = load_method(FALLBACK)().fit(*training_views(dataset, split))
    return LazyCells(split.test, lambda label: next(iter(method.predict(start, [Perturbation.parse(label)]))))
