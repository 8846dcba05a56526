"""A file that cannot be scored is refused in one sentence that says why."""

from __future__ import annotations

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

from benchmark.errors import BenchmarkError
from benchmark.evaluation.submission import read_submission
from tests.evaluation.submission.submission_case import CELLS, relabelled


def broken(values, where, value):
    values = values.copy()
    values.iloc[where] = value
    return values


ONE = (slice(0, 1), slice(2, 3))
BREAKS = {
    "NaN": (lambda table: broken(table, ONE, np.nan), "1 of the 18 predicted cells .* NaN or infinite"),
    "infinite": (lambda table: broken(table, ONE, np.inf), "1 of the 18 predicted cells .* NaN or infinite"),
    "beyond float32": (lambda table: table.astype(float) * 1e300, "All 18 predicted cells .* infinite"),
    "NaN row": (lambda table: broken(table, (slice(0, 1), slice(None)), np.nan), "1 of the 18 .* NaN"),
    "negative": (lambda table: broken(table, ONE, -0.1), "1 of the 18 .* negative values.* clamp"),
    "changes": (lambda table: table - table.mean(), "negative values"),
    "counts": (lambda table: np.round(np.expm1(table)), "All 18 .* raw values .*take log1p"),
    "small counts": (lambda table: np.round(table), "All 18 .* raw values"),
    "CP10K": (lambda table: np.expm1(table), "raw values"),
    "mixed": (lambda table: pd.concat([np.expm1(table[:5]), table[5:]]), "5 of the 18 .* raw values"),
    "huge": (lambda table: broken(table, ONE, 14.0), "1 of the 18 .* more than 10 times the counts"),
    "CPM": (lambda table: np.log1p(100 * np.expm1(table)), "raw values|more than 10 times"),
    "log2": (lambda table: table / np.log(2), "not log2|more than 10 times"),
    "copies": (lambda table: pd.concat([table, table[:2]]), "2 predicted cells .* copies .* significance"),
    "one cell": (lambda table: table.iloc[CELLS - 1 :], "1 perturbations have fewer than 2 cells"),
    "no gene": (lambda table: table.iloc[:, :0], "40 of the 40 genes of the data set not at all"),
    "missing genes": (
        lambda table: table.iloc[:, 2:],
        "2 of the 40 genes of the data set not at all, such as",
    ),
    "extra genes": (lambda table: table.assign(MADE_UP=1.5), "1 genes that are not in the data set.*MADE_UP"),
    "a gene twice": (
        lambda table: pd.concat([table, table.iloc[:, :1]], axis=1),
        "1 genes more than once",
    ),
    "no test perturbation": (
        lambda table: relabelled(table, lambda label: f"my {label}"),
        "names no test perturbation of screen doubles-0, such as .* but 'my ",
    ),
    "controls alone": (lambda table: relabelled(table, lambda label: "control"), "but only control cells"),
    "a missing one": (
        lambda table: table[table.index != table.index[0]],
        "no cells of 1 of the 3 test perturbations, such as .*--allow-missing",
    ),
    "no cells": (lambda table: table.iloc[:0], "holds no cells"),
    "other names": (
        lambda table: table.rename(columns=lambda gene: f"ENSG{gene}"),
        "40 of the 40 genes of the data set not at all, such as '.*', but others, such as 'ENSG",
    ),
    "letter case": (
        lambda table: table.rename(columns=str.lower),
        "40 of the 40 .* not at all, such as 'G.*', but 40 of them in other letter case, such as 'g",
    ),
    "one in other case": (
        lambda table: table.rename(
            columns={table.columns[3]: table.columns[3].lower(), table.columns[5]: "X"}
        ),
        "2 of the 40 .* not at all, such as .*, but 1 of them in other letter case, such as 'g",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.filterwarnings("ignore:.*names are not unique:UserWarning", "ignore:Observation names")
def test_what_cannot_be_scored_is_refused_in_one_sentence(dataset, split, table, write, name):
    spoil, sentence = BREAKS[name]
    with pytest.raises(BenchmarkError, match=sentence) as refusal:
        read_submission(write(spoil(table)), dataset, split)
    assert str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)


def test_a_real_cell_among_genes_that_are_hardly_expressed_is_no_fault(dataset, split, table, write):
    """All zero but one value, nothing but zeros: odd cells, but what a cell can be."""
    sparse = table.copy()
    sparse.iloc[0] = 0
    sparse.iloc[1] = 0
    sparse.iloc[1, 3] = 0.7
    assert read_submission(write(sparse), dataset, split).notes == []


def test_cells_of_an_unusual_depth_are_noted(dataset, split, table, write):
    submission = read_submission(write(table * 0.5), dataset, split)
    (note,) = submission.notes
    assert "check that X is log1p" in note


def test_columns_that_there_are_are_named(dataset, split, table, write):
    with pytest.raises(BenchmarkError, match=r"no obs column 'perturbation' \(there are: condition\)"):
        read_submission(write(table, column="condition"), dataset, split)
    found = read_submission(write(table, "condition"), dataset, split, perturbation_column="condition")
    assert list(found.predicted) == list(split.test)


def test_unlabelled_cells_are_counted(tmp_path, dataset, split, table):
    labels = pd.Series(table.index).where(np.arange(len(table)) > 2).to_numpy()
    obs = pd.DataFrame({"perturbation": pd.Categorical(labels)}, [str(index) for index in range(len(table))])
    path = tmp_path / "theirs.h5ad"
    ad.AnnData(table.to_numpy(), obs=obs, var=pd.DataFrame(index=table.columns)).write_h5ad(path)
    with pytest.raises(BenchmarkError, match="is empty for 3 cells"):
        read_submission(path, dataset, split)


def no_matrix(file):
    del file["X"]


def fewer_columns(file):
    values = file["X"][:, 1:]
    del file["X"]
    file["X"] = values


def words(file):
    del file["X"]
    file["X"] = np.full((18, 40), b"word")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (no_matrix, "has no matrix X"),
        (fewer_columns, r"cannot be read .*X is 18 x 39, but 18 cells and 40 genes are named"),
        (words, "X holds no numbers"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(dataset, split, table, write, spoil, sentence):
    path = write(table)
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(BenchmarkError, match=sentence):
        read_submission(path, dataset, split)


@pytest.mark.parametrize("content", [b"", b"perturbation,G1\nA,1\n"])
def test_a_file_of_another_kind_is_refused(tmp_path, dataset, split, content):
    path = tmp_path / "theirs.h5ad"
    path.write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"theirs\.h5ad cannot be read as an \.h5ad file"):
        read_submission(path, dataset, split)
    with pytest.raises(BenchmarkError, match="There is no file"):
        read_submission(tmp_path / "gone.h5ad", dataset, split)


def test_a_folder_and_a_file_that_may_not_be_read_are_called_so(
    tmp_path, dataset, split, table, write, monkeypatch
):
    with pytest.raises(BenchmarkError, match=r"is a folder; name the \.h5ad file in it"):
        read_submission(tmp_path, dataset, split)

    def denied(*arguments):
        raise PermissionError(13, "Permission denied")

    path = write(table)
    monkeypatch.setattr("benchmark.evaluation.stored.h5py.File", denied)
    with pytest.raises(BenchmarkError, match="may not be read by you; change its permissions") as refusal:
        read_submission(path, dataset, split)
    assert "write it again" not in str(refusal.value)


def test_a_truncated_file_is_refused(dataset, split, table, write):
    path = write(table)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BenchmarkError, match="cannot be read"):
        read_submission(path, dataset, split)


def test_wrong_arguments_are_named(dataset, split, table, write):
    path = write(table)
    with pytest.raises(BenchmarkError, match="did you mean 'mean'"):
        read_submission(path, dataset, split, predicts="means")
    with pytest.raises(BenchmarkError, match="At least 2 cells"):
        read_submission(path, dataset, split, cells=1)
    with pytest.raises(BenchmarkError, match="separator"):
        read_submission(path, dataset, split, separator="")
