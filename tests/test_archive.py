"""The archive holds what was scored, in the form that others read."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from benchmark.archive import file_digest, read_archive, write_archive
from benchmark.errors import BenchmarkError

GENES = ["G1", "G2", "G3"]


@pytest.fixture
def control():
    return ad.AnnData(
        sp.csr_matrix(np.array([[0, 1, 2], [3, 0, 0]], dtype=np.float32)),
        obs=pd.DataFrame({"perturbation": ["control"] * 2}, index=["c0", "c1"]),
        var=pd.DataFrame(index=GENES),
    )


def origins(rows: int) -> pd.DataFrame:
    """Rows that start from c1 and c0 in turn, once and once more."""
    return pd.DataFrame(
        {"control_cell": ["c1", "c0", "c1", "c0", "c1"][:rows], "sample": [0, 0, 1, 1, 2][:rows]}
    )


@pytest.mark.parametrize("share_of_zeros", [0.0, 0.9])
def test_predictions_come_back_as_they_were(tmp_path, control, share_of_zeros):
    rng = np.random.default_rng(0)
    predicted = {label: rng.random((5, 3), dtype=np.float32) for label in ("A", "A+B")}
    for cells in predicted.values():
        cells[rng.random(cells.shape) < share_of_zeros] = 0
    path = tmp_path / "predictions.h5ad"
    digest = write_archive(path, control, origins(5), predicted, {"method": "test"})
    assert digest == file_digest(path)
    again = read_archive(path, GENES)
    for label, cells in predicted.items():
        found = again[label].toarray() if sp.issparse(again[label]) else again[label]
        np.testing.assert_array_equal(found, cells)


def test_the_archive_holds_the_real_controls_beside_the_predictions(tmp_path, control):
    path = tmp_path / "predictions.h5ad"
    write_archive(path, control, origins(4), {"A": np.ones((4, 3), dtype=np.float32)}, {"method": "test"})
    adata = ad.read_h5ad(path)
    assert adata.obs["perturbation"].value_counts().to_dict() == {"A": 4, "control": 2}
    values = adata[adata.obs["perturbation"] == "control"].X
    np.testing.assert_array_equal(values.toarray() if sp.issparse(values) else values, control.X.toarray())
    assert adata.uns["method"] == "test"


def test_every_row_says_which_control_cell_and_sample_it_is(tmp_path, control):
    """The control cells themselves, then the same origins for each perturbation; obs names stay unique."""
    path = tmp_path / "predictions.h5ad"
    predicted = {label: np.full((4, 3), value, dtype=np.float32) for label, value in (("B", 1), ("A", 2))}
    write_archive(path, control, origins(4), predicted, {})
    adata = ad.read_h5ad(path)
    assert adata.obs_names.is_unique
    rows = adata.obs[["perturbation", "control_cell", "sample"]].astype({"sample": int})
    assert list(rows.itertuples(index=False, name=None)) == [
        ("control", "c0", 0),
        ("control", "c1", 0),
        *((label, *origin) for label in "BA" for origin in (("c1", 0), ("c0", 0), ("c1", 1), ("c0", 1))),
    ]
    assert adata.X[2:6].max() == 1
    assert adata.X[6:].min() == 2


def test_columns_come_in_the_order_that_is_asked(tmp_path, control):
    path = tmp_path / "predictions.h5ad"
    write_archive(path, control, origins(2), {"A": np.array([[1, 2, 3]] * 2, dtype=np.float32)}, {})
    cells = read_archive(path, GENES[::-1])["A"]
    np.testing.assert_array_equal(cells.toarray() if sp.issparse(cells) else cells, [[3, 2, 1]] * 2)


def test_a_failed_write_leaves_nothing(tmp_path, control, monkeypatch):
    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(BenchmarkError, match="No space"):
        write_archive(
            tmp_path / "predictions.h5ad", control, origins(2), {"A": np.ones((2, 3), np.float32)}, {}
        )
    assert list(tmp_path.glob("**/*h5ad*")) == []


def test_a_file_that_is_no_archive_is_named(tmp_path):
    path = tmp_path / "broken.h5ad"
    path.write_bytes(b"nothing")
    with pytest.raises(BenchmarkError, match=r"broken\.h5ad cannot be read"):
        read_archive(path, GENES)


def test_an_archive_of_other_genes_is_refused(tmp_path, control):
    path = tmp_path / "predictions.h5ad"
    write_archive(path, control, origins(2), {"A": np.ones((2, 3), np.float32)}, {})
    with pytest.raises(BenchmarkError, match="predict exactly those"):
        read_archive(path, ["G1", "G2"])
