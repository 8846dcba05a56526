"""The conformance suite catches methods that look behind what they are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from benchmark.perturbation import CONTROL
from benchmark.testing import Case, NonConformanceError
from benchmark.testing.case import Panel, rebuilt, tiny_panel
from benchmark.testing.checks import check_only_what_is_given_matters, check_test_cells_do_not_matter
from methods.train_mean import TrainMean


@pytest.fixture
def panel() -> Panel:
    """A tiny data set of its own, so that a test may spoil it."""
    shared = tiny_panel(0, 40)
    return replace(shared, dataset=replace(shared.dataset, adata=shared.dataset.adata.copy()))


def cells_of(panel: Panel, label: str) -> np.ndarray:
    """Rows of one perturbation."""
    return np.flatnonzero(panel.dataset.adata.obs["perturbation"] == label)


class LearnsFromNames(TrainMean):
    """An offender: cell names may come from a file with everything in it."""

    def fit(self, train, validation):
        super().fit(train, validation)
        self.shift_ = self.shift_ + len(train.obs_names[0])
        return self


class FollowsTheView(TrainMean):
    """An offender: learns from whatever stands behind the cells that it is given."""

    def fit(self, train, validation):
        super().fit(train, validation)
        if validation._adata_ref is not None:
            self.shift_ = self.shift_ + validation._adata_ref.X.mean()
        return self


class Slices(Panel):
    """A panel that hands over slices of the data set in place of copies."""

    @property
    def views(self) -> tuple[AnnData, AnnData]:
        adata = self.dataset.adata
        labels = adata.obs["perturbation"]
        return adata[labels.isin([CONTROL, *self.split.train])].copy(), adata[
            labels.isin(self.split.validation)
        ]


def test_the_suite_catches_a_method_that_looks_behind_what_it_is_given() -> None:
    """Names in one case, the parent of a slice in the other; copies alone show nothing to follow."""
    with pytest.raises(NonConformanceError, match="names of the cells, or with what stands behind"):
        check_only_what_is_given_matters(Case(LearnsFromNames))
    check_test_cells_do_not_matter(Case(FollowsTheView))
    case = Case(FollowsTheView)
    case.panel = Slices(case.panel.dataset, case.panel.split)
    for check in (check_test_cells_do_not_matter, check_only_what_is_given_matters):
        with pytest.raises(NonConformanceError):
            check(case)


def test_other_test_cells_are_others_and_the_rest_stays(panel: Panel) -> None:
    """More of them, at the front; every cell that methods are given is the same, in the same order."""
    other = panel.with_other_test_cells()
    adata = other.dataset.adata
    is_test = adata.obs["perturbation"].isin(panel.split.test).to_numpy()
    assert is_test[: int(is_test.sum())].all()
    assert is_test.sum() > sum(len(cells_of(panel, label)) for label in panel.split.test)
    for before, after in zip(panel.views, other.views, strict=True):
        assert (before.X != after.X).nnz == 0
        assert (before.layers["counts"] != after.layers["counts"]).nnz == 0
        pd.testing.assert_frame_equal(before.obs, after.obs)


def test_rebuilt_cells_hold_what_is_promised_under_other_names(panel: Panel) -> None:
    """Equal expression, counts, labels and notes; no name and no memory in common."""
    (train, _) = panel.views
    again = rebuilt(train)
    assert (again.X != train.X).nnz == 0
    assert again.uns == train.uns
    assert list(again.obs["perturbation"]) == list(train.obs["perturbation"])
    assert set(again.obs_names).isdisjoint(train.obs_names)
    assert not np.shares_memory(again.X.data, train.X.data)
