"""What a worker is given to work with: the best state so far, means of labels, the genes of a label."""

from __future__ import annotations

import fcntl
import json
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy.sparse import csr_matrix

from benchmark.hosting.launch import Best, Job, Refusal, alone, by_context, genes_of, held_out, mean_cells
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


def test_what_is_held_out_lies_around_all_control_cells_of_its_context(tmp_path):
    """Also where only some of them are moved."""
    values = csr_matrix(np.array([[1.0], [3.0], [8.0], [20.0]], np.float32))
    obs = {"perturbation": ["control", "control", "A", "control"], "context": ["K", "K", "K", "R"]}
    train = AnnData(values, obs=pd.DataFrame(obs, index=list("wxyz")))
    about = {"perturbation": ["A+B", "A+B"], "context": ["K", "K"]}
    AnnData(csr_matrix([[6.0], [8.0]]), obs=pd.DataFrame(about, index=list("vu"))).write_h5ad(
        tmp_path / "validation.h5ad"
    )
    (tmp_path / "job.json").write_text(
        json.dumps({"config": {}, "perturbations": [], "about": {}, "seed": 0, "device": "cpu", "threads": 1})
    )
    (found,) = held_out(Job(tmp_path, StringIO()), train, 1)
    assert (found.genes, found.context, found.control.tolist()) == (["A", "B"], "K", [[1.0]])
    assert (found.start.tolist(), found.mean.tolist()) == ([1.0], [7.0])
    assert found.error(np.array([[4.0], [6.0]])) == (5 + 1 - 7) ** 2


@pytest.mark.parametrize("writable", [True, False])
def test_one_process_at_a_time_is_alone(tmp_path, monkeypatch, writable):
    """The lock is of the environment, or of the user where the environment is another's."""
    monkeypatch.setattr("sys.prefix", str(tmp_path if writable else "/proc/self"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    with alone():
        (lock,) = tmp_path.glob("alone-*.lock")
        with open(lock) as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with open(lock) as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("contexts", [None, ["K", "R", "K"]])
def test_a_worker_is_told_of_which_context_and_batch_a_cell_is(tmp_path, contexts):
    obs = pd.DataFrame({"perturbation": ["A", "A", "control"]}, index=list("xyz"))
    if contexts:
        obs["context"] = contexts
    _write(AnnData(csr_matrix(np.eye(3, dtype=np.float32)), obs=obs), tmp_path / "cells.h5ad")
    told = read_h5ad(tmp_path / "cells.h5ad").obs
    assert told["context"].tolist() == (contexts or [""] * 3)
    assert told["batch"].tolist() == [""] * 3
