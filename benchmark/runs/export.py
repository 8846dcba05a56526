"""Predictions of finished runs as files that others read: `vcc prep` and cell-eval2."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from benchmark.counted import Expression, PredictedCounts, counts_of, dense, worth_of_counts
from benchmark.data import Dataset, load_dataset
from benchmark.data.h5ad import write_h5ad
from benchmark.errors import BenchmarkError
from benchmark.evaluation.forms import CELL_EVAL, CHALLENGE, CONTEXT
from benchmark.evaluation.metrics.counts import require_counts
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.machine.paths import replacing
from benchmark.perturbation import Perturbation
from benchmark.records.lookup import (
    ALL,
    Place,
    Question,
    Within,
    finished_run,
    predictions,
    question_of,
    read_record,
)
from benchmark.records.tracking import Tracker
from benchmark.splits.views import cells_by_label, control_cells, scored_controls

GENES = "gene_names.csv"
PERTURBATIONS = "pert_counts.csv"
REAL = "_real"
"""Ends the name of the file with the real cells."""


@dataclass(frozen=True)
class Predicted:
    """What one run predicted, as it is exported.

    Attributes
    ----------
    question
        Data and split that it answered.
    cells
        Test perturbation -> cells.
    holds
        What these hold.
    """

    question: Question
    cells: Mapping[str, Matrix]
    holds: Expression


def export_vcc(
    runs: Sequence[str],
    contexts: Sequence[str],
    path: Path,
    load: Callable[[str], Dataset] = load_dataset,
    within: Within = ALL,
) -> list[Path]:
    """Write a submission to the challenge: raw counts of all contexts in one file, without control cells.

    Beside it are the lists of genes and of perturbations that ``vcc prep`` asks for. Log values become counts
    at the depth of control cells, whole by chance (`benchmark.counted.counts_of`).

    Parameters
    ----------
    runs
        One for each context, as `finished_run` takes them.
    contexts
        Their names.
    path
        The .h5ad.
    load
        Loads a data set by its name.
    within
        Among which runs they are looked for.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    BenchmarkError
        When the numbers differ, genes differ between runs, or there is nothing to make counts of.
    """
    if len(runs) != len(contexts) or len(set(contexts)) != len(contexts):
        raise BenchmarkError(
            f"{len(runs)} runs were named for the contexts {', '.join(contexts)}; name each context once, "
            "with a run for each."
        )
    blocks, rows, genes = [], [], None
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        for number, (called, context) in enumerate(zip(runs, contexts, strict=True)):
            found = _predicted(called, Path(folder) / str(number), load, within)
            own = list(found.question.dataset.adata.var_names)
            if genes not in (None, own):
                raise BenchmarkError(
                    f"Run '{called}' has other genes than the one before; a submission has one list of genes."
                )
            genes = own
            for label, counts in _whole_counts(found).items():
                blocks.append(sp.csr_matrix(counts))
                rows += [(str(Perturbation.parse(label)), context)] * counts.shape[0]
    obs = pd.DataFrame(rows, columns=[CHALLENGE.column, CONTEXT])
    obs.index = [f"cell-{row}" for row in range(len(obs))]
    cells = AnnData(sp.vstack(blocks, format="csr"), obs, pd.DataFrame(index=genes))
    cells.uns["expression"] = "counts"
    counted = obs.groupby([CONTEXT, CHALLENGE.column], sort=False).size().rename("n_cells").reset_index()
    write_h5ad(cells, path)
    return [
        path,
        _write(path.with_name(GENES), "\n".join(genes or []) + "\n"),
        _write(path.with_name(PERTURBATIONS), counted.to_csv(index=False)),
    ]


def export_cell_eval(
    run: str, path: Path, load: Callable[[str], Dataset] = load_dataset, within: Within = ALL
) -> list[Path]:
    """Write predicted and real cells as cell-eval2 reads them, with the real control cells in both.

    Both hold counts where the run predicted counts and the data have some, else log1p of counts per 10,000.

    Parameters
    ----------
    run
        As `finished_run` takes it.
    path
        The .h5ad of predicted cells; the real ones lie beside it.
    load
        Loads a data set by its name.
    within
        Among which runs it is looked for.

    Returns
    -------
    list of Path
        Both files.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        found = _predicted(run, Path(folder), load, within)
        dataset, split, _ = found.question
        layer = "counts" if found.holds == "counts" else None
        matrix = dataset.adata.X if layer is None else dataset.adata.layers[layer]
        control = {CELL_EVAL.control: matrix[scored_controls(dataset, split)]}
        genes = list(dataset.adata.var_names)
        predicted = _labelled({**control, **found.cells}, genes, found.holds)
        real = _labelled({**control, **cells_by_label(dataset, split.test, layer)}, genes, found.holds)
    beside = path.with_stem(path.stem + REAL)
    write_h5ad(real, beside)
    write_h5ad(predicted, path)
    return [path, beside]


def _predicted(called: str, folder: Path, load: Callable[[str], Dataset], within: Within) -> Predicted:
    tracker = Tracker()
    run = finished_run(tracker.runs("attributes.status = 'FINISHED'"), called, within)
    record = read_record(tracker, run)
    if not record.archive:
        raise BenchmarkError(f"Run '{called}' is a bound, which predicts nothing; export a method's.")
    question = question_of(Place.of(run), load)
    folder.mkdir(exist_ok=True)
    cells, _ = predictions(tracker, record, question, folder)
    has_counts = "counts" in question.dataset.adata.layers
    if isinstance(cells, PredictedCounts) and has_counts:
        return Predicted(question, cells.counts, "counts")
    return Predicted(question, cells, "log1p")


def _whole_counts(found: Predicted) -> dict[str, np.ndarray]:
    """Counts of each perturbation, drawn where log values were predicted."""
    dataset, split, _ = found.question
    if found.holds == "counts":
        return {label: dense(found.cells[label]) for label in split.test}
    control = control_cells(dataset, split)
    if "counts" not in control.layers:
        raise BenchmarkError(
            f"The run predicted log values, and '{dataset.name}' holds no counts that would say how deep "
            "cells are; export it with --format cell-eval."
        )
    return drawn_counts({label: found.cells[label] for label in split.test}, control)


def drawn_counts(logs: Mapping[str, Matrix], control: AnnData) -> dict[str, np.ndarray]:
    """Draw whole counts that stand for log values, at the depth of control cells.

    Parameters
    ----------
    logs
        Label -> log1p of counts per 10,000, (cells, genes).
    control
        Control cells that hold counts, too; cells are as deep as these are in turn.

    Returns
    -------
    dict
        Label -> float32 whole numbers, (cells, genes).

    Raises
    ------
    BenchmarkError
        When they are no counts of cells, such as of more than a million in one.
    """
    worth = worth_of_counts(control.X, control.layers["counts"])
    worth = worth[worth > 0]
    counts = {}
    for label, cells in logs.items():
        rng = np.random.default_rng(list(label.encode()))
        counts[label] = counts_of(dense(cells), np.resize(worth, cells.shape[0]), rng)
        require_counts(counts[label].astype(np.float64), f"The counts that stand for '{label}'")
    return counts


def _labelled(cells: Mapping[str, Matrix], genes: list[str], holds: Expression) -> AnnData:
    blocks = [sp.csr_matrix(block, dtype=np.float32) for block in cells.values()]
    labels = np.repeat(list(cells), [block.shape[0] for block in blocks])
    obs = pd.DataFrame({CELL_EVAL.column: labels}, index=[f"cell-{row}" for row in range(len(labels))])
    uns = {"expression": holds}
    return AnnData(sp.vstack(blocks, format="csr"), obs, pd.DataFrame(index=genes), uns)


def _write(path: Path, text: str) -> Path:
    with replacing(path) as draft:
        draft.write_text(text)
    return path
