"""A file that somebody else wrote is scored as it is meant, or refused in one sentence that says why."""

from __future__ import annotations

import json

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from benchmark.archive import file_digest
from benchmark.board import build_board
from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.means import move_to_mean
from benchmark.metrics import METRICS
from benchmark.runner import run, sample_cells
from benchmark.scoring import score
from benchmark.splits import load_split
from benchmark.submission import read_submission
from benchmark.submitted import check_name, score_file
from benchmark.tracking import Tracker
from tests.tiny import COLUMNS, PATH_OPTIONS, request

CELLS = 6


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


def dense(cells) -> np.ndarray:
    return cells.toarray() if sp.issparse(cells) else cells


def relabelled(table: pd.DataFrame, change) -> pd.DataFrame:
    return table.set_axis([change(label) for label in table.index])


def strings(group: h5py.Group, name: str, values) -> None:
    group.create_dataset(name, data=[str(value) for value in values], dtype=h5py.string_dtype())
    group[name].attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def test_a_file_of_somebody_without_this_project_or_anndata_is_read(tmp_path, dataset, split, table):
    """Written with h5py, by the published description of the format."""
    path = tmp_path / "plain.h5ad"
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        file["X"] = table.to_numpy(dtype=np.float64)
        for name, index, columns in (
            ("obs", range(len(table)), {"perturbation": table.index}),
            ("var", table.columns, {}),
        ):
            group = file.create_group(name)
            group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "names"})
            group.attrs["column-order"] = list(columns) or np.empty(0, dtype=float)
            for column, values in {"names": index, **columns}.items():
                strings(group, column, values)
    submission = read_submission(path, dataset, split)
    assert list(submission.predicted) == list(split.test)
    assert (submission.cells, submission.fallbacks, submission.notes) == (CELLS, {}, [])
    for label, cells in submission.predicted.items():
        np.testing.assert_array_equal(cells, table.loc[label])


def test_a_file_of_before_anndata_0_7_is_read(tmp_path, dataset, split, table):
    """Tables were compound arrays then, and categories of a column lay in `uns`."""
    path = tmp_path / "old.h5ad"
    categories = sorted(set(table.index))
    rows = [(f"cell{index}".encode(), categories.index(label)) for index, label in enumerate(table.index)]
    with h5py.File(path, "w") as file:
        file["X"] = table.to_numpy()
        file["obs"] = np.array(rows, dtype=[("index", "S10"), ("perturbation", "i4")])
        file["var"] = np.array([(name.encode(),) for name in table.columns], dtype=[("index", "S10")])
        file["uns/perturbation_categories"] = np.array(categories, dtype="S20")
    submission = read_submission(path, dataset, split)
    np.testing.assert_array_equal(submission.predicted[split.test[-1]], table.loc[split.test[-1]])


@pytest.mark.parametrize(
    "form", [np.asarray, sp.csr_matrix, sp.csc_matrix, lambda values: values.astype(np.float64)]
)
def test_how_the_numbers_are_stored_does_not_count(dataset, split, table, write, form):
    expected = score(dataset, split, {label: table.loc[label].to_numpy() for label in split.test})
    submission = read_submission(write(table, form=form), dataset, split)
    pd.testing.assert_frame_equal(score(dataset, split, submission.predicted), expected)


def test_genes_and_cells_in_another_order_give_the_same_scores(dataset, split, table, write):
    expected = score_file(write(table), dataset, split).scores
    rng = np.random.default_rng(3)
    shuffled = table.iloc[rng.permutation(len(table)), rng.permutation(table.shape[1])]
    pd.testing.assert_frame_equal(score_file(write(shuffled), dataset, split).scores, expected)


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda label: "+".join(reversed(label.split("+"))), {}),
        (lambda label: label.replace("+", "_"), {"separator": "_"}),
        (lambda label: f" {label.replace('+', ' + ')}", {}),
    ],
    ids=["B+A", "A_B", "A + B"],
)
def test_labels_are_read_however_they_are_written(dataset, split, table, write, change, options):
    submission = read_submission(write(relabelled(table, change)), dataset, split, **options)
    for label in split.test:
        np.testing.assert_array_equal(submission.predicted[label], table.loc[label])


def test_one_perturbation_in_two_spellings_is_one(dataset, split, table, write):
    double = split.test[0]
    other = "+".join(reversed(double.split("+")))
    labels = table.index.to_numpy().copy()
    labels[np.flatnonzero(labels == double)[::2]] = other
    submission = read_submission(write(table.set_axis(labels)), dataset, split)
    np.testing.assert_array_equal(submission.predicted[double], table.loc[double])


def test_singles_are_read_with_their_empty_half(dataset, table, write):
    split = load_split(dataset, "singles", 0)
    labels = np.repeat([f"{gene}+ctrl" for gene in split.test], CELLS)
    theirs = table.iloc[: len(labels)].set_axis(labels)
    submission = read_submission(write(theirs), dataset, split, control_label="ctrl")
    np.testing.assert_array_equal(submission.predicted[split.test[0]], theirs.iloc[:CELLS])


def test_what_is_not_asked_for_is_left_out_and_said(dataset, split, table, write):
    more = pd.concat([table, table.iloc[:4].set_axis(["X1", "X1", "A+B+C", "A+A"])])
    submission = read_submission(write(more), dataset, split)
    assert list(submission.predicted) == list(split.test)
    (note,) = submission.notes
    assert "3 labels that are not in the test part" in note


def test_control_cells_of_the_file_change_no_score(dataset, split, table, write):
    """Moved controls are the oldest trick: they are seen, and not used."""
    plain = score_file(write(table), dataset, split).scores
    real = dataset.adata[dataset.adata.obs["perturbation"] == "control"]
    for moved, seen in ((0.0, False), (0.5, True)):
        controls = pd.DataFrame(real.X.toarray() + np.float32(moved), ["control"] * 40, table.columns)
        for part in (controls, controls.iloc[:25]):
            scored = score_file(write(pd.concat([part, table])), dataset, split)
            pd.testing.assert_frame_equal(scored.scores, plain)
            assert ["not those of the data set" in note for note in scored.submission.notes] == [True] * seen


def test_many_cells_are_thinned_by_seed(dataset, split, table, write):
    path = write(table)

    def drawn(seed):
        submission = read_submission(path, dataset, split, cells=4, seed=seed)
        return submission.cells, {label: dense(cells) for label, cells in submission.predicted.items()}

    cells, first = drawn(0)
    assert cells == 4
    for label, found in first.items():
        rows = {row.tobytes() for row in table.loc[label].to_numpy()}
        assert len({row.tobytes() for row in found} & rows) == 4
        np.testing.assert_array_equal(drawn(0)[1][label], found)
    assert any(not np.array_equal(drawn(1)[1][label], found) for label, found in first.items())


def test_the_fewest_cells_are_what_is_recorded(dataset, split, table, write, store):
    submission = read_submission(write(table.iloc[3:]), dataset, split)
    assert submission.cells == CELLS - 3
    scored = score_file(write(table.iloc[3:]), dataset, split, name="mine")
    assert scored.record.coordinates.cells == CELLS - 3


def test_a_mean_moves_control_cells(dataset, split, table, write):
    """As a method does that predicts means: the mean over the moved cells is the mean over the rows."""
    submission = read_submission(write(table), dataset, split, predicts="mean", cells=30, seed=5)
    assert (submission.cells, submission.predicts) == (30, "mean")
    control = dataset.adata[dataset.adata.obs["perturbation"] == "control"].copy()
    start = sample_cells(control, 30, 5).X.toarray()
    for label, cells in submission.predicted.items():
        assert cells.dtype == np.float32
        mean = table.loc[label].to_numpy().mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(cells.mean(axis=0), mean, atol=1e-5)
        np.testing.assert_allclose(cells, move_to_mean(start, mean), atol=1e-5)


def test_one_row_or_copies_are_enough_for_a_mean(dataset, split, table, write):
    once = table.groupby(level=0).first()
    again = pd.concat([once, once, once])
    one, three = (score_file(write(rows), dataset, split, predicts="mean").scores for rows in (once, again))
    pd.testing.assert_frame_equal(one, three, rtol=1e-5)
    assert "interval_coverage_50" not in one


def test_what_is_missing_is_the_train_mean_where_that_is_allowed(dataset, split, table, write, store, screen):
    record, _ = run(request(screen, "train_mean", cells=256))
    absent = split.test[1]
    kept = table[table.index != absent]
    scored = score_file(write(kept), dataset, split, allow_missing=True, name="most")
    assert list(scored.record.fallbacks) == [absent]
    assert scored.record.coverage == pytest.approx(1 - 1 / len(split.test))
    for name, values in record.scores.items():
        expected = np.array(values, dtype=float)[record.perturbations.index(absent)]
        ranked = METRICS[name].spec.family == "rank"  # among other predictions
        assert ranked or scored.scores.loc[absent, name] == pytest.approx(expected, nan_ok=True), name


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
    monkeypatch.setattr("benchmark.stored.h5py.File", denied)
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


def test_the_archive_of_a_run_scores_as_the_run_did(screen, dataset, split, store, tmp_path):
    record, _ = run(request(screen))
    path = Tracker().artifact(record.run_id, record.archive, tmp_path)
    scored = score_file(path, dataset, split)
    assert scored.submission.notes == []
    for name, values in record.scores.items():
        np.testing.assert_array_equal(scored.scores[name], np.array(values, dtype=float))


def test_scoring_without_a_name_leaves_nothing(type_, home, screen, table, write):
    code, out, _ = type_("score", write(table), "--dataset", screen, *PATH_OPTIONS)
    assert code == 0
    assert "mse" in out
    assert "not recorded (--name NAME records it)" in out
    assert not (home / "mlflow.db").exists()


def test_a_name_puts_the_scores_on_the_board(type_, store, screen, table, write):
    path = write(table)
    arguments = ["score", path, "--dataset", screen, *PATH_OPTIONS, "--name", "theirs", "--json"]
    code, out, _ = type_(*arguments)
    assert code == 0
    record = json.loads(out)
    at = record["coordinates"]
    assert (at["method"], at["configuration"], at["config"], at["cells"]) == (
        "theirs",
        "submitted",
        {},
        CELLS,
    )
    assert record["device"] == "unknown"
    assert record["archive_sha256"] == at["source_digest"] == file_digest(path)
    (run_,) = [found for found in Tracker().runs() if found.tags["method"] == "theirs"]
    assert run_.status == "finished"
    again = json.loads(type_(*arguments)[1])
    assert again["run_id"] == record["run_id"]
    code, out, _ = type_("leaderboard")
    assert code == 0
    assert "theirs" in out


def test_json_without_a_name_has_the_scores(type_, screen, table, write, split):
    code, out, _ = type_("score", write(table), "--dataset", screen, *PATH_OPTIONS, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["perturbations"] == list(split.test)
    assert len(found["scores"]["mse"]) == len(split.test)


def test_a_row_from_outside_brings_its_anchors_unless_told_not_to(type_, store, screen, table, write):
    """With as many cells, so that the board can scale it; a score without a name brings nothing."""
    command = ["score", write(table), "--dataset", screen, *PATH_OPTIONS]
    for options, expected in (
        ([], []),
        (["--name", "theirs", "--no-anchors"], ["theirs"]),
        (["--name", "theirs"], ["additive", "ceiling", "no_change", "theirs", "train_mean"]),
    ):
        code, out, _ = type_(*command, *options, "--json")
        assert code == 0
        assert len(json.loads(out)["scores"]["mse"]) == 3
        assert sorted(found.tags["method"] for found in Tracker().runs()) == expected
    (block,) = build_board(Tracker().runs())
    rows = {row.method: row for row in block.rows}
    assert {row.cells for row in block.rows if not row.is_ceiling} == {CELLS}
    assert rows["theirs"].scaled["mse"].mean is not None
    assert rows["train_mean"].scaled["mse"].mean == pytest.approx(0)


@pytest.mark.parametrize("name", ["theirs", "GEARS-2.1_(retrained)", "x+y", "7"])
def test_a_name_may_be_any_word(name):
    check_name(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("additive", "'additive' is a row of this harness"),
        ("Additive", "'additive' is a row of this harness"),
        ("CEILING", "'ceiling' is a row of this harness"),
        *((name, "a name on the board is made of") for name in ("my method", "", "..", "-_-", "naïve")),
        *((name, "a name on the board is made of") for name in ("аdditive", "a/b", "a|b", "name\n", "٣")),
    ],
)
def test_a_name_that_is_taken_or_no_word_is_refused(type_, home, screen, table, write, name, sentence):
    """Nothing is written, also where letters of another script look like a method's."""
    before = set(home.iterdir())
    code, out, err = type_("score", write(table), "--dataset", screen, *PATH_OPTIONS, f"--name={name}")
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.strip().endswith("choose another.")
    assert set(home.iterdir()) == before


def test_a_refused_file_is_one_line_and_nothing_is_recorded(type_, home, screen, table, write):
    code, out, err = type_("score", write(-table), "--dataset", screen, *PATH_OPTIONS, "--name", "theirs")
    assert (code, out) == (2, "")
    assert "negative" in err.splitlines()[-1]
    assert not (home / "mlflow.db").exists()
