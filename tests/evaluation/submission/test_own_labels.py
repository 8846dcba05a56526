"""Predictions whose labels are written as the data set's own file writes them."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from benchmark.data.dataset import load_dataset
from benchmark.splits import load_split
from tests.data.brought import brought, file, relabelled

HOW = ("--perturbation-column", "condition", "--control-label", "NT0", "--control-label", "NT1")
GUIDES = ("--separator", ";", "--collapse-guides", "--expression", "counts")


@pytest.fixture
def added(tmp_path, type_):
    """A screen of guides with two labels of control cells, which has a name."""

    def rule(number: int, label: str) -> str:
        return f"NT{number % 2}" if label == "ctrl" else ";".join(f"{gene}_sg1" for gene in label.split("+"))

    path = file(tmp_path, relabelled(brought(doubles=9), rule))
    assert type_("datasets", "add", path, *HOW, *GUIDES, "--name", "mine")[0] == 0
    return load_dataset("mine")


@pytest.mark.parametrize("column", ["source_label", "perturbation"])
def test_a_data_set_by_name_is_scored_without_a_word_on_how_its_labels_are_written(
    added, tmp_path, type_, column
):
    labels = added.adata.obs["perturbation"]
    rows = labels.isin(["control", *load_split(added, "doubles", 0).test]).to_numpy()
    noise = np.random.default_rng(0).uniform(0.7, 1.2, (int(rows.sum()), added.adata.n_vars))
    cells = (added.adata.X[rows].toarray() * noise).astype(np.float32)
    name = "condition" if column == "source_label" else "perturbation"
    obs = pd.DataFrame({name: added.adata.obs[column][rows].to_numpy()})
    obs.index = obs.index.astype(str)
    ad.AnnData(cells, obs=obs, var=added.adata.var).write_h5ad(tmp_path / "predicted.h5ad")
    code, out, err = type_(
        "score", tmp_path / "predicted.h5ad", "--dataset", "mine", "--no-anchors", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["fallbacks"] == {}
