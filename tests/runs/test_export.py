"""Predictions of a run as others read them, and read again."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.runs.export import export_cell_eval, export_vcc
from benchmark.runs.handed_in import score_file
from benchmark.runs.run import run
from benchmark.splits import load_split
from tests.tiny import COLUMNS, request


@pytest.fixture
def dataset(screen):
    return load_dataset(str(screen), **COLUMNS)


@pytest.fixture
def split(dataset):
    return load_split(dataset, "doubles", 0)


@pytest.fixture
def exported(store, screen, dataset, tmp_path) -> Path:
    """A run, handed in for two contexts."""
    run(request(screen, "additive"))
    path = tmp_path / "out" / "sub.h5ad"
    written = export_vcc(["additive", "additive"], ["A", "B"], path, lambda name: dataset)
    assert [each.name for each in written] == ["sub.h5ad", "gene_names.csv", "pert_counts.csv"]
    return path


def packed(path: Path, member: str = "pred.h5ad.zst") -> Path:
    """What `vcc prep` makes of a file."""
    import pyarrow

    compressed = pyarrow.compress(path.read_bytes(), codec="zstd", asbytes=True)
    package = path.with_suffix(".vcc")
    with tarfile.open(package, "w") as tar:
        about = tarfile.TarInfo(member)
        about.size = len(compressed)
        tar.addfile(about, io.BytesIO(compressed))
    return package


def test_a_submission_holds_raw_counts_of_every_context_and_no_control_cell(exported, dataset, split):
    """At the depth of control cells; the lists beside it say what is in it."""
    cells = read_h5ad(exported)
    values = cells.X.toarray()
    assert np.array_equal(values, np.round(values))
    assert list(cells.obs.columns) == ["target_gene", "context"]
    assert set(cells.obs["target_gene"]) == set(split.test)
    counts = pd.read_csv(exported.with_name("pert_counts.csv"))
    assert (
        counts["n_cells"].tolist()
        == cells.obs.groupby(["context", "target_gene"], observed=True).size().tolist()
    )
    genes = exported.with_name("gene_names.csv").read_text().split()
    assert genes == list(dataset.adata.var_names)
    control = dataset.adata.layers["counts"][(dataset.adata.obs["perturbation"] == "control").to_numpy()]
    assert np.median(values.sum(axis=1)) == pytest.approx(np.median(control.sum(axis=1).A1), rel=0.3)


def test_the_score_of_a_submission_and_of_its_package_is_that_of_the_run(exported, dataset, split):
    """Up to the whole numbers; of the context that is asked for."""
    record, _ = run(request(Path(dataset.card.local_file), "additive"), dataset)
    of_file = score_file(exported, dataset, split, context="A").scores
    of_package = score_file(packed(exported), dataset, split, context="B").scores
    assert of_package["mse"].tolist() == of_file["mse"].tolist()
    assert of_file["pearson"].to_numpy() == pytest.approx(np.array(record.scores["pearson"]), abs=0.2)
    assert of_file["expr_mse_unbiased"].notna().all()


def test_contexts_are_named_and_controls_are_not_handed_in(exported, dataset, split, tmp_path):
    """One line each for what cell-eval2 and `vcc prep` would refuse."""
    for options, message in (
        ({}, "holds the contexts A, B; say with --context"),
        ({"context": "C"}, "holds no cells of context 'C', but of A, B"),
    ):
        with pytest.raises(BenchmarkError, match=message):
            score_file(exported, dataset, split, **options)
    cells = read_h5ad(exported)
    cells.obs["target_gene"] = np.where(np.arange(len(cells)) < 3, "non-targeting", cells.obs["target_gene"])
    cells.write_h5ad(tmp_path / "controls.h5ad")
    with pytest.raises(BenchmarkError, match=r"holds 3 control cells .* leave them out"):
        score_file(tmp_path / "controls.h5ad", dataset, split, context="A")
    missing = cells[cells.obs["context"] == "A"].copy()
    missing = missing[missing.obs["target_gene"] != split.test[-1]].copy()
    missing = missing[missing.obs["target_gene"] != "non-targeting"].copy()
    missing.write_h5ad(tmp_path / "missing.h5ad")
    with pytest.raises(
        BenchmarkError, match=f"no cells of 1 .* such as '{split.test[-1]}'".replace("+", r"\+")
    ):
        score_file(tmp_path / "missing.h5ad", dataset, split)


def test_swapped_contexts_are_refused(exported, dataset, split, tmp_path):
    """The cells of B are of another kind, their genes in another order; those of A are of this data set."""
    cells = read_h5ad(exported)
    of_b = (cells.obs["context"] == "B").to_numpy()
    values = cells.X.toarray()
    values[of_b] = values[of_b][:, np.random.default_rng(0).permutation(values.shape[1])]
    cells.X = values
    path = tmp_path / "contexts.h5ad"
    cells.write_h5ad(path)
    assert score_file(path, dataset, split, context="A").scores["mse"].notna().all()
    with pytest.raises(
        BenchmarkError, match=r"context 'B' .* as those of context 'A'; contexts seem to be swapped"
    ):
        score_file(path, dataset, split, context="B")


def test_what_is_no_package_is_refused_and_leaves_nothing(exported, dataset, split, tmp_path):
    """Another member, a damaged one, no archive at all."""
    other = packed(exported, "something.zst")
    with pytest.raises(BenchmarkError, match="cannot be read as a package of `vcc prep`"):
        score_file(other, dataset, split, context="A")
    broken = packed(exported)
    broken.write_bytes(broken.read_bytes()[:2000])
    with pytest.raises(BenchmarkError, match="cannot be read as a package of `vcc prep`"):
        score_file(broken, dataset, split, context="A")
    (tmp_path / "text.vcc").write_text("no archive")
    with pytest.raises(BenchmarkError, match="cannot be read as a package of `vcc prep`"):
        score_file(tmp_path / "text.vcc", dataset, split)


def test_files_for_cell_eval2_are_read_again(exported, dataset, split, tmp_path):
    """Predicted and real cells, with the same control cells; what is predicted is scored as before."""
    path, real = export_cell_eval("additive", tmp_path / "ce.h5ad", lambda name: dataset)
    both = [read_h5ad(each) for each in (path, real)]
    assert [set(each.obs["target"]) for each in both] == [{*split.test, "non-targeting"}] * 2
    controls = [each[each.obs["target"] == "non-targeting"].X.toarray() for each in both]
    assert np.array_equal(*controls)
    record, _ = run(request(Path(dataset.card.local_file), "additive"), dataset)
    scores = score_file(path, dataset, split).scores
    assert scores["mse"].to_numpy() == pytest.approx(np.array(record.scores["mse"]), rel=1e-5)


def test_exports_that_make_no_sense_are_refused(type_, exported, dataset, tmp_path):
    with pytest.raises(BenchmarkError, match="name each context once"):
        export_vcc(["additive"], ["A", "B"], tmp_path / "no.h5ad", lambda name: dataset)
    bare = dataset.adata.copy()
    del bare.layers["counts"]
    without = type(dataset)(dataset.name, bare, dataset.digest, dataset.card)
    with pytest.raises(BenchmarkError, match="holds no counts that would say how deep cells are"):
        export_vcc(["additive"], ["A"], tmp_path / "no.h5ad", lambda name: without)
    assert not (tmp_path / "no.h5ad").exists()
    for arguments, message in (
        (("--format", "csv"), "no format 'csv'"),
        (("--output", "sub.csv"), "give sub.csv a name that ends so"),
    ):
        code, _, err = type_("export", "additive", *arguments)
        assert (code, message in err) == (2, True)


@pytest.mark.slow
def test_vcc_prep_accepts_a_submission(exported, dataset, split):
    """The real tool, offline; skipped where `vcc-cli` is not installed."""
    pytest.importorskip("vcc", reason="vcc-cli is not installed")
    prep = shutil.which("vcc", path=str(Path(sys.executable).parent))
    genes = exported.with_name("gene_names.csv")
    done = subprocess.run(
        [
            *(prep, "prep", exported, "-g", genes, "--perts", exported.with_name("pert_counts.csv")),
            *("--contexts", "A,B", "--expected-gene-dim", str(len(genes.read_text().split()))),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (
        score_file(exported.with_suffix(".prep.vcc"), dataset, split, context="A").scores["mse"].notna().all()
    )
