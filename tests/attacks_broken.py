"""Broken submissions: files that cannot be scored, each with what its refusal says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData, concat

from benchmark.perturbation import CONTROL
from tests.attack_case import Edit


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
    """

    name: str
    does: str
    spoil: Edit
    refused: str


BROKEN: list[Broken] = []


def broken(does: str, refused: str) -> Callable[[Edit], Edit]:
    """Declare an edit of a sound file, and what its refusal says."""

    def declare(spoil: Edit) -> Edit:
        BROKEN.append(Broken(spoil.__name__, does, spoil, refused))
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
