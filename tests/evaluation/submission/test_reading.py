"""A file that somebody else wrote is scored as it is meant."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS, PanelMetric
from benchmark.evaluation.scoring import score
from benchmark.evaluation.submission import read_submission
from benchmark.means import MovableCells
from benchmark.predicting import sample_cells
from benchmark.runs.handed_in import score_file
from benchmark.runs.run import run
from benchmark.splits import load_split
from benchmark.splits.views import control_cells
from tests.evaluation.submission.submission_case import CELLS, relabelled
from tests.tiny import request


def dense(cells) -> np.ndarray:
    return cells.toarray() if sp.issparse(cells) else cells


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


def test_labels_as_this_project_writes_them_are_read_where_the_data_have_another_column(
    dataset, split, table, write
):
    options = {"perturbation_column": "condition", "control_label": "ctrl", "separator": "_"}
    found = read_submission(write(table), dataset, split, **options)
    assert list(found.predicted) == list(split.test)


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
    submission = read_submission(write(table), dataset, split, predicts="mean", cells=15, seed=5)
    assert (submission.cells, submission.predicts) == (15, "mean")
    start = sample_cells(control_cells(dataset, split), 15, 5).X.toarray()
    for label, cells in submission.predicted.items():
        assert cells.dtype == np.float32
        mean = table.loc[label].to_numpy().mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(cells.mean(axis=0), mean, atol=1e-5)
        np.testing.assert_allclose(cells, MovableCells(start).to(mean), atol=1e-5)


def test_one_row_or_copies_are_enough_for_a_mean(dataset, split, table, write):
    once = table.groupby(level=0).first()
    again = pd.concat([once, once, once])
    one, three = (score_file(write(rows), dataset, split, predicts="mean").scores for rows in (once, again))
    pd.testing.assert_frame_equal(one, three, rtol=1e-5)
    assert "interval_coverage_50" not in one


def test_shallow_cells_may_be_alike(dataset, split, table, write):
    """Of nine genes that are expressed two cells may have the same values by chance; of more it is a copy."""
    shallow = table.copy()
    shallow.iloc[:, 9:] = 0
    shallow.iloc[1] = shallow.iloc[0]
    assert score_file(write(shallow), dataset, split).record is None
    deep = table.copy()
    deep.iloc[:, 10:] = 0
    deep.iloc[:, :10] += np.float32(0.1)
    deep.iloc[1] = deep.iloc[0]
    with pytest.raises(BenchmarkError, match=r"1 predicted cells .* exact copies of another"):
        score_file(write(deep), dataset, split)


def test_what_is_missing_is_the_train_mean_where_that_is_allowed(dataset, split, table, write, store, screen):
    record, _ = run(request(screen, "train_mean", cells=256))
    absent = split.test[1]
    kept = table[table.index != absent]
    scored = score_file(write(kept), dataset, split, allow_missing=True, name="most")
    assert list(scored.record.fallbacks) == [absent]
    assert scored.record.coverage == pytest.approx(1 - 1 / len(split.test))
    for name, values in record.scores.items():
        expected = np.array(values, dtype=float)[record.perturbations.index(absent)]
        among_others = isinstance(METRICS[name], PanelMetric)
        assert among_others or scored.scores.loc[absent, name] == pytest.approx(expected, nan_ok=True), name
