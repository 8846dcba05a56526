"""A data set, and predictions for it as somebody else writes them."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from benchmark.data import load_dataset
from benchmark.splits import load_split
from tests.evaluation.submission.submission_case import CELLS
from tests.tiny import COLUMNS


@pytest.fixture
def dataset(screen):
    return load_dataset(str(screen), **COLUMNS)


@pytest.fixture
def split(dataset):
    return load_split(dataset, "doubles", 0)


@pytest.fixture
def table(dataset, split) -> pd.DataFrame:
    """A fair guess: control cells, each gene a little off; rows are labelled by perturbation."""
    rng = np.random.default_rng(0)
    control = dataset.adata.X[(dataset.adata.obs["perturbation"] == "control").to_numpy()].toarray()
    cells = np.concatenate([control[rng.permutation(40)[:CELLS]] for _ in split.test])
    cells *= rng.uniform(0.8, 1.1, cells.shape).astype(np.float32)
    return pd.DataFrame(cells, np.repeat(split.test, CELLS), dataset.adata.var_names)


@pytest.fixture
def write(tmp_path):
    """Write such a table with anndata alone."""

    def file(table, column="perturbation", form=np.asarray):
        obs = pd.DataFrame({column: table.index.astype(str)}, [f"cell{index}" for index in range(len(table))])
        path = tmp_path / "theirs.h5ad"
        ad.AnnData(form(table.to_numpy()), obs=obs, var=pd.DataFrame(index=table.columns)).write_h5ad(path)
        return path

    return file
