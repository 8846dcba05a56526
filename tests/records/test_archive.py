"""The archive holds what was scored, in the form that others read."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from benchmark.errors import BenchmarkError
from benchmark.evaluation.stored import StoredCells
from benchmark.records.archive import file_digest, read_archive, write_archive

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


def scattered(folder: Path, form: str = "csr", **storage: object) -> tuple[Path, pd.DataFrame]:
    """Cells of three perturbations in no order, and the same as a table that was never written."""
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat(["control", "A", "B+C"], [4, 7, 5]))
    values = (rng.random((16, 3)) * (rng.random((16, 3)) < 0.6)).astype(np.float32)
    x = {"dense": values, "csr": sp.csr_matrix(values), "csc": sp.csc_matrix(values)}[form]
    obs = pd.DataFrame({"perturbation": labels}, index=[f"cell{index}" for index in range(16)])
    path = folder / f"{form}.h5ad"
    ad.AnnData(x, obs=obs, var=pd.DataFrame(index=GENES)).write_h5ad(path, **storage)
    return path, pd.DataFrame(values, index=labels, columns=GENES)


@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_reading_one_perturbation_at_a_time_gives_what_reading_all_gives(tmp_path, form, compression):
    path, table = scattered(tmp_path, form, compression=compression)
    cells = read_archive(path, ["G3", "G1", "G2"])
    assert list(cells) == ["A", "B+C"]
    for label in cells:
        found = cells[label].toarray() if sp.issparse(cells[label]) else cells[label]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, table.loc[label, ["G3", "G1", "G2"]])
    with pytest.raises(KeyError):
        cells["control"]


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_no_cells_are_held(tmp_path, form):
    """The cells are in the file and nowhere else: when it is gone, so are they."""
    path, _ = scattered(tmp_path, form)
    cells = read_archive(path, GENES)
    assert StoredCells.open(path).held is None
    path.unlink()
    assert list(cells) == ["A", "B+C"]
    with pytest.raises(BenchmarkError, match=r"There is no file .*; check the path"):
        cells["A"]


def test_any_rows_can_be_read_or_none(tmp_path):
    for form in ("dense", "csr"):
        path, table = scattered(tmp_path, form)
        stored = StoredCells.open(path)
        for rows in ([], [3], [0, 1, 2], [1, 4, 5, 15]):
            found = stored.rows(np.array(rows, dtype=int))
            np.testing.assert_array_equal(sp.csr_matrix(found).toarray(), table.to_numpy()[rows])


def test_damage_inside_a_file_is_named_when_it_is_met(tmp_path):
    path, _ = scattered(tmp_path, "csr")
    with h5py.File(path, "r+") as file:
        file["X/indices"][:] = 99
    with pytest.raises(BenchmarkError, match=r"csr\.h5ad cannot be read"):
        read_archive(path, GENES)["A"]


@pytest.mark.slow
def test_an_archive_opens_in_cell_eval_as_it_is(tmp_path):
    """Read and handed over, beside the real cells: cell-eval takes it without a change."""
    cell_eval = pytest.importorskip("cell_eval")
    rng = np.random.default_rng(0)
    genes = [f"G{index}" for index in range(40)]

    def cells(n: int, shift: float) -> np.ndarray:
        values = rng.gamma(2, 0.5, (n, 40)) + shift * (np.arange(40) < 20)
        return values.astype(np.float32)

    blocks = {"control": cells(30, 0), "A": cells(30, 1), "A+B": cells(30, 2)}
    labels = np.repeat(list(blocks), 30)
    real = ad.AnnData(
        sp.csr_matrix(np.concatenate(list(blocks.values()))),
        obs=pd.DataFrame({"perturbation": labels}, index=[f"r{index}" for index in range(90)]),
        var=pd.DataFrame(index=genes),
    )
    starts = pd.DataFrame({"control_cell": [f"r{index}" for index in range(10)], "sample": 0})
    path = tmp_path / "predictions.h5ad"
    predicted = {"A": cells(10, 1), "A+B": cells(10, 2)}
    write_archive(path, real[labels == "control"].copy(), starts, predicted, {"method": "test"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of cell-eval and of what it imports
        scores, _ = cell_eval.MetricsEvaluator(
            adata_pred=ad.read_h5ad(path),
            adata_real=real,
            control_pert="control",
            pert_col="perturbation",
            num_threads=1,
            outdir=str(tmp_path / "out"),
        ).compute(profile="minimal", write_csv=False, break_on_error=True)
    table = pd.DataFrame(scores.to_dicts()).set_index("perturbation")
    assert set(table.index) == {"A", "A+B"}
    for label, found in predicted.items():
        truth = blocks[label].mean(axis=0)
        assert table.loc[label, "mse"] == pytest.approx(np.mean((found.mean(axis=0) - truth) ** 2), rel=1e-4)
