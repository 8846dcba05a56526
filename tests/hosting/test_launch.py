"""What a worker is given to work with: the best state so far, means of labels, the genes of a label."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy.sparse import csr_matrix

from benchmark.hosting.launch import Best, Refusal, by_context, genes_of, mean_cells
from benchmark.hosting.method import _write


def test_the_state_of_the_least_error_is_kept_and_no_other_is_made():
    best, made = Best(), []
    for error in (3.0, float("nan"), 1.0, 2.0, float("inf")):

        def state(error: float = error) -> str:
            made.append(error)
            return f"state of {error}"

        best.offer(error, state)
    assert best.chosen("it") == "state of 1.0"
    assert made == [3.0, 1.0]


def test_a_training_without_a_finite_error_is_refused():
    best = Best()
    best.offer(float("nan"), lambda: "never")
    with pytest.raises(Refusal, match="it gave nothing that predicts finite numbers"):
        best.chosen("it")


def test_means_are_those_of_each_label():
    values = csr_matrix(np.array([[0.0, 2.0], [2.0, 4.0], [5.0, 0.0]], np.float32))
    labels = pd.DataFrame({"perturbation": ["A", "A", "control"]}, index=list("xyz"))
    means = mean_cells(AnnData(values, obs=labels))
    assert sorted(means) == ["A", "control"]
    np.testing.assert_array_equal(means["A"], [1.0, 3.0])
    assert means["A"].dtype == np.float64


def test_the_control_perturbs_no_gene():
    assert (genes_of("control"), genes_of("A"), genes_of("A+B")) == ([], ["A"], ["A", "B"])


def test_cells_are_divided_by_context_and_stay_as_they_are_where_there_is_one():
    obs = pd.DataFrame({"context": ["R", "K", "R"]}, index=list("xyz"))
    cells = AnnData(csr_matrix(np.eye(3, dtype=np.float32)), obs=obs)
    assert {name: list(part.obs_names) for name, part in by_context(cells).items()} == {
        "K": ["y"],
        "R": ["x", "z"],
    }
    one = cells[:1].copy()
    assert by_context(one)["R"] is one
    assert by_context(cells[:0].copy()) == {}


@pytest.mark.parametrize("contexts", [None, ["K", "R", "K"]])
def test_a_worker_is_told_of_which_context_and_batch_a_cell_is(tmp_path, contexts):
    obs = pd.DataFrame({"perturbation": ["A", "A", "control"]}, index=list("xyz"))
    if contexts:
        obs["context"] = contexts
    _write(AnnData(csr_matrix(np.eye(3, dtype=np.float32)), obs=obs), tmp_path / "cells.h5ad")
    told = read_h5ad(tmp_path / "cells.h5ad").obs
    assert told["context"].tolist() == (contexts or [""] * 3)
    assert told["batch"].tolist() == [""] * 3
