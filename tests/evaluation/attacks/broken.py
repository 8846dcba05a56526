"""Submissions that are refused: files that cannot be scored, or hold the answers, each with the refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData, concat

from benchmark.perturbation import CONTROL
from tests.evaluation.attacks.case import Contest, Edit, as_file


@dataclass(frozen=True)
class Broken:
    """A way to go wrong.

    Attributes
    ----------
    name, does
        What it is called, and what the file is like.
    spoil
        Makes it from a sound file.
    refused
        What the refusal says, a regular expression.
    of_truth
        Whether it is made from a file of the test cells, in place of a prediction.
    options
        What `read_submission` is told besides.
    """

    name: str
    does: str
    spoil: Edit
    refused: str
    of_truth: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def enter(self, contest: Contest, folder: Path) -> pd.DataFrame:
        """Make the file, hand it in and have it scored."""
        predicted = contest.truth if self.of_truth else contest.honest["additive"]
        file = self.spoil(as_file(predicted, contest.known))
        return contest.scores(contest.hand_in(file, folder, **self.options))


BROKEN: list[Broken] = []


def broken(does: str, refused: str, of_truth: bool = False, **options: Any) -> Callable[[Edit], Edit]:
    """Declare an edit of a sound file, and what its refusal says."""

    def declare(spoil: Edit) -> Edit:
        BROKEN.append(Broken(spoil.__name__, does, spoil, refused, of_truth, options))
        return spoil

    return declare


def _rows(file: AnnData, label: str) -> np.ndarray:
    return (file.obs["perturbation"] == label).to_numpy()


def _first(file: AnnData) -> np.ndarray:
    """Rows of the first perturbation."""
    return _rows(file, next(label for label in file.obs["perturbation"] if label != CONTROL))


@broken("holds raw values for one perturbation and logarithms for the others", "hold raw values")
def raw_in_part(file: AnnData) -> AnnData:
    file.X[_first(file)] = np.expm1(file.X[_first(file)])
    return file


@broken("holds counts instead of logarithms", "hold raw values")
def raw_counts(file: AnnData) -> AnnData:
    file.X = np.round(np.expm1(file.X))
    return file


@broken("holds one cell without numbers", "1 of the .* NaN or infinite")
def nan_cell(file: AnnData) -> AnnData:
    file.X[np.flatnonzero(_first(file))[0]] = np.nan
    return file


@broken("holds changes from control, some of them negative", "hold negative values.*changes from control")
def changes_only(file: AnnData) -> AnnData:
    file.X = file.X - file.X[_rows(file, CONTROL)].mean(axis=0)
    return file


@broken("holds one huge value", "1 of the .* hold raw values")
def huge_value(file: AnnData) -> AnnData:
    file.X[np.flatnonzero(_first(file))[0], 0] = 1e6
    return file


@broken("holds values just below the largest that are possible", "times the counts of any real cell")
def impossible_depth(file: AnnData) -> AnnData:
    file.X[_first(file)] = np.linspace(8, 9, file.n_vars)
    return file


@broken("lacks a perturbation", "no cells of 1 of the .*--allow-missing")
def missing_perturbation(file: AnnData) -> AnnData:
    return file[~_first(file)].copy()


@broken("holds other perturbations only", "no test perturbation of")
def other_perturbations(file: AnnData) -> AnnData:
    file.obs["perturbation"] = [f"X{index % 5}" for index in range(file.n_obs)]
    return file


@broken("holds a gene that the data set has not", "1 genes that are not in the data set, such as 'NEW'")
def extra_gene(file: AnnData) -> AnnData:
    new = AnnData(np.zeros((file.n_obs, 1), np.float32), obs=file.obs, var=pd.DataFrame(index=["NEW"]))
    return concat([file, new], axis="var", merge="first")


@broken("lacks a gene", "1 of the .* genes of the data set not at all")
def missing_gene(file: AnnData) -> AnnData:
    return file[:, 1:].copy()


@broken("names a gene twice", "1 genes more than once")
def repeated_gene(file: AnnData) -> AnnData:
    file.var_names = [file.var_names[0], *file.var_names[:-1]]
    return file


@broken("holds every predicted cell twice", "exact copies.*fakes significance")
def repeated_cells(file: AnnData) -> AnnData:
    predicted = np.flatnonzero(~_rows(file, CONTROL))
    file.X[predicted[1::2]] = file.X[predicted[::2]]
    return file


@broken("holds one cell per perturbation", "fewer than 2 cells")
def one_cell(file: AnnData) -> AnnData:
    return file[~file.obs["perturbation"].duplicated()].copy()


@broken("does not say what its rows are", "no obs column 'perturbation'")
def no_labels(file: AnnData) -> AnnData:
    file.obs = file.obs.rename(columns={"perturbation": "condition"})
    return file


SEEN = "18 of 18 predictions are closer to the test cells"


@broken("holds the test cells", "900 of the 900 predicted cells .* exact copies of test cells", of_truth=True)
def true_cells(file: AnnData) -> AnnData:
    return file


@broken("holds one test cell among predictions of its own", "1 of the .* exact copies of test cells", True)
def one_true_cell(file: AnnData) -> AnnData:
    predicted = np.flatnonzero(~_rows(file, CONTROL))
    file.X[predicted[1:]] *= np.linspace(0.8, 1.1, file.n_vars)
    return file


@broken("holds the test cells times 1.00001", SEEN, of_truth=True)
def nearly_true_cells(file: AnnData) -> AnnData:
    file.X *= 1.00001
    return file


@broken("holds the means of the test cells (`--predicts mean`)", SEEN, of_truth=True, predicts="mean")
def true_means(file: AnnData) -> AnnData:
    labels = file.obs["perturbation"].drop_duplicates()
    means = file[labels.index].copy()
    means.X = np.stack([file.X[_rows(file, label)].mean(axis=0) for label in labels])
    return means


@broken(
    "holds the means of half of the test perturbations, and predictions that are off for the others",
    "9 of 18 predictions are closer to the test cells",
    of_truth=True,
    predicts="mean",
)
def half_true_means(file: AnnData) -> AnnData:
    means = true_means(file)
    means.X[2::2] *= 1.1
    return means


@broken(
    "holds the means of two test perturbations and leaves out the others (`--allow-missing`)",
    "2 of 2 predictions are closer to the test cells",
    of_truth=True,
    predicts="mean",
    allow_missing=True,
)
def true_where_answered(file: AnnData) -> AnnData:
    return true_means(file)[:3].copy()
