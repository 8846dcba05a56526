"""Predictions that came from anywhere: an .h5ad file, read, checked and brought into what is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from anndata import AnnData

from benchmark.counted import Expression, PredictedCounts, counts_of, worth_of_counts
from benchmark.data import Dataset
from benchmark.data.blocks import LazyCells, rows_by_label
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.forms import Labels, labels_of, rows_of_context
from benchmark.evaluation.handed_cells import HandedCells, require_cells
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


@dataclass(frozen=True)
class Submission:
    """Predictions for the test perturbations of a split, ready to be scored.

    Attributes
    ----------
    predicted
        Test perturbation, in the order of the split -> float32 (cells, genes), log1p CP10K. Cells are read
        from the file, or made, whenever they are asked for. `PredictedCounts`, where the file holds counts.
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
    holds: Expression | None = None,
    context: str | None = None,
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
        How the file says what a row is; where it has no such column, as this project, cell-eval2, the
        challenge (`benchmark.evaluation.forms`) or the data do. Labels in the spelling of the data are known,
        whatever these say.
    predicts
        ``"cells"``: each row is a cell. ``"mean"``: the mean of the rows of a perturbation is all that
        counts, and `cells` control cells are moved until they have it (`benchmark.means`).
    holds
        What X holds: log1p of counts per 10,000, or counts. Unless said, what the file says, as archives of
        this project do, else log values. A count is worth as much as makes the counts of a cell add up to
        what the median control cell has, per 10,000, over the genes of the data set.
    context
        Whose rows are read, where the file has contexts; one alone needs not be named.
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
    if holds not in (None, *get_args(Expression)):
        raise unknown("content of X", str(holds), get_args(Expression))
    if cells < 2 or not separator:
        raise BenchmarkError(
            f"At least 2 cells per perturbation are scored, not {cells}, and the separator of two genes is "
            f"not empty, but '{separator}'; correct them."
        )
    stored = StoredCells.open(path)
    if not len(stored.obs):
        raise BenchmarkError(f"{path} holds no cells; predict the {len(split.test)} test perturbations.")
    card = dataset.card
    of_data = Labels(card.perturbation_column, card.controls[0], card.separator)
    labels = labels_of(stored, Labels(perturbation_column, control_label, separator), of_data)
    spelt = dict(zip(dataset.adata.obs["source_label"], dataset.adata.obs["perturbation"], strict=True))
    chosen = rows_of_context(stored, context, labels)
    rows, notes = _rows_of_tests(stored, split, labels, chosen, spelt)
    is_counts = (holds or stored.expression) == "counts"
    require_cells(stored, predicts, is_counts)
    control = control_cells(dataset, split)
    handed = HandedCells.of(stored, dataset, control.X, is_counts)
    handed.require_own_context(chosen, control.X)
    every = cells_by_label(dataset, [CONTROL])[CONTROL]
    notes += handed.foreign_controls(rows.pop(CONTROL, None), every)
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
    notes += _vetted(handed, rows, vetting)
    start = sample_cells(control, cells, seed)
    movable = MovableCells(start.X.toarray()) if predicts == "mean" else None
    guess = _train_mean(dataset, split, start) if missing else {}
    worth = _worth_of_guess(path, start) if missing and is_counts else None

    def make(label: str) -> Matrix:
        if label not in rows:
            rng = np.random.default_rng(list(label.encode()))
            return guess[label] if worth is None else counts_of(guess[label], worth, rng)
        if movable is None:
            return handed.raw(rows[label])
        mean = np.asarray(handed.raw(rows[label], np.float64).mean(axis=0)).ravel()
        return movable.to(mean).astype(np.float32)

    made = LazyCells(split.test, make)
    predicted = PredictedCounts(made, lambda label, counts: handed.worth(counts)) if is_counts else made
    fewest = min(map(len, rows.values())) if predicts == "cells" else start.n_obs
    reason = "it is not in the submission"
    return Submission(predicted, dict.fromkeys(missing, reason), predicts, fewest, notes)


def _rows_of_tests(
    stored: StoredCells,
    split: Split,
    labels: Labels,
    chosen: np.ndarray | None,
    spelt: Mapping[str, str],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Rows of the control and of each test perturbation that the file has, whatever its spelling there.

    `chosen` are the rows that are looked at, ascending; None for all.
    """
    found: dict[str, list[np.ndarray]] = {}
    ignored = []
    every = stored.labels(labels.column)
    chosen = np.arange(len(every)) if chosen is None else chosen
    for written, places in rows_by_label(every[chosen]).items():
        rows, label = chosen[places], _canonical(written, labels.separator, labels.control)
        if label != CONTROL and label not in split.groups:
            label = spelt.get(written)
        if label == CONTROL or label in split.groups:
            found.setdefault(label, []).append(rows)
        else:
            ignored.append(written)
    if not found.keys() - {CONTROL}:
        some = ", ".join(f"'{label}'" for label in ignored[:3]) or "only control cells"
        raise BenchmarkError(
            f"The obs column '{labels.column}' of {stored.path} names no test perturbation of "
            f"{split.dataset} {split.scheme}-{split.seed}, such as '{split.test[0]}', but {some}; label "
            "cells so, or choose the column and the --separator of two genes."
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


def _worth_of_guess(path: Path, start: AnnData) -> np.ndarray:
    """What a count of each cell is worth, where the train mean stands in as counts."""
    if "counts" not in start.layers:
        raise BenchmarkError(
            f"{path} holds counts and lacks perturbations, but the data hold no counts of which the train "
            "mean could be made; predict all, or hand in log1p of counts per 10,000."
        )
    return worth_of_counts(start.X, start.layers["counts"])


def _vetted(cells: HandedCells, rows: dict[str, np.ndarray], vetting: Vetting) -> list[str]:
    """Look at every cell that is scored; return what is unusual."""
    with stage("check", len(rows)) as progress:
        for label, found in rows.items():
            vetting.look(label, cells.checked_logs(label, found))
            progress.advance()
    return vetting.conclude()


def _train_mean(dataset: Dataset, split: Split, start: AnnData) -> Mapping[str, Matrix]:
    """What the method `FALLBACK` predicts for each test perturbation."""
    method = load_method(FALLBACK)().fit(*training_views(dataset, split))
    return LazyCells(split.test, lambda label: next(iter(method.predict(start, [Perturbation.parse(label)]))))
