"""Numbers that say whether data and splits are the published ones, without any method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy.sparse import csr_matrix

from benchmark.data import Dataset
from benchmark.evaluation.metrics.mean_top_genes import most_expressed
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.splits import Split
from benchmark.splits.drawing import source_labels
from benchmark.splits.split import group_of
from benchmark.studies.protocols.genes import evaluation_genes, means, top_by_t

TOP = 20


@dataclass(frozen=True, eq=False)
class Setting:
    """One split of a data set, and how many genes are scored (all where `most_variable` is None)."""

    dataset: Dataset
    split: Split
    most_variable: int | None = None

    @cached_property
    def labels(self) -> np.ndarray:
        """The perturbation of each cell."""
        return self.dataset.adata.obs["perturbation"].to_numpy()

    @cached_property
    def control(self) -> csr_matrix:
        """Expression of the control cells."""
        return self.dataset.adata.X[self.labels == CONTROL]

    @cached_property
    def control_mean(self) -> np.ndarray:
        """float64, (genes,)."""
        return means(self.control)

    @cached_property
    def changes(self) -> np.ndarray:
        """Real mean minus control mean of each test perturbation: (perturbations, genes)."""
        cells = (self.dataset.adata.X[self.labels == label] for label in self.split.test)
        return np.stack([means(each) for each in cells]) - self.control_mean

    @cached_property
    def scored(self) -> np.ndarray:
        """Columns that are scored."""
        return evaluation_genes(self.dataset, self.split, self.most_variable)


@dataclass(frozen=True)
class Quantity:
    """What a number means, and how it is measured."""

    meaning: str
    measure: Callable[[Setting], float]


def _l2(setting: Setting) -> float:
    return float(np.linalg.norm(setting.changes[:, setting.scored], axis=1).mean())


def _mse(setting: Setting) -> float:
    return float((setting.changes[:, setting.scored] ** 2).mean())


def _mae(setting: Setting) -> float:
    return float(np.abs(setting.changes[:, setting.scored]).mean())


def _l2_of_expressed(setting: Setting) -> float:
    genes = most_expressed(setting.control_mean)
    return float(np.linalg.norm(setting.changes[:, genes], axis=1).mean())


def _mse_of_top_by_t(setting: Setting) -> float:
    """Labels as the source has them: GEARS counts `A+ctrl` and `ctrl+A` apart."""
    adata = setting.dataset.adata
    source = adata.obs["source_label"].to_numpy()
    errors = []
    for label in np.unique(source[adata.obs["perturbation"].isin(setting.split.test)].astype(str)):
        cells = adata.X[source == label]
        genes = top_by_t(cells, setting.control, TOP)
        errors.append(np.mean((means(cells) - setting.control_mean)[genes] ** 2))
    return float(np.mean(errors))


def _number(labels: Iterable[str], genes: int) -> float:
    return float(sum(len(Perturbation.parse(label).genes) == genes for label in labels))


def _test_labels(setting: Setting, group: str) -> float:
    """How many labels of the source, as it spells them, are of a group of test perturbations."""
    canonical = [
        str(Perturbation.parse(label, control_label="ctrl")) for label in source_labels(setting.dataset)
    ]
    return float(sum(setting.split.groups.get(label) == group for label in canonical))


GROUPS = sorted({group_of("A", ()), *(group_of("A+B", seen) for seen in ("", "A", "AB"))})

QUANTITIES: dict[str, Quantity] = {
    "cells": Quantity("cells of the data set", lambda setting: float(setting.dataset.adata.n_obs)),
    "genes": Quantity("genes of the data set", lambda setting: float(setting.dataset.adata.n_vars)),
    "labels": Quantity(
        "labels as the source spells them, control included",
        lambda setting: float(setting.dataset.adata.obs["source_label"].nunique()),
    ),
    "singles": Quantity("single perturbations", lambda setting: _number(set(setting.labels), 1)),
    "doubles": Quantity("double perturbations", lambda setting: _number(set(setting.labels), 2)),
    "test_singles": Quantity("singles to test", lambda setting: _number(setting.split.test, 1)),
    "test_doubles": Quantity("doubles to test", lambda setting: _number(setting.split.test, 2)),
    **{
        f"test_labels_{group}": Quantity(
            f"test labels of the group {group}, as the source spells them", partial(_test_labels, group=group)
        )
        for group in GROUPS
    },
    "no_change_l2": Quantity("l2 of the mean control cell over the scored genes", _l2),
    "no_change_mse": Quantity("mse of the mean control cell over the scored genes", _mse),
    "no_change_mae": Quantity("mae of the mean control cell over the scored genes", _mae),
    "no_change_l2_top1000": Quantity("l2_top1000 of the mean control cell", _l2_of_expressed),
    "no_change_mse_top20_t": Quantity(
        "mse of the mean control cell over the 20 genes of largest |Welch t| of each test label",
        _mse_of_top_by_t,
    ),
}
