"""Test cells are found wherever they reach a method, and a method is given nothing that leads to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from benchmark.data import Dataset, load_dataset
from benchmark.data.fingerprints import FEWEST, fingerprints
from benchmark.errors import BenchmarkError
from benchmark.evaluation.leaks import check_views, inspect_views
from benchmark.runs.run import run
from benchmark.splits import Split, load_split
from benchmark.splits.views import given_controls, scored_controls, training_views
from benchmark.testing.case import Panel, tiny_panel
from tests.tiny import request


@pytest.fixture
def panel() -> Panel:
    """A tiny data set of its own, so that a test may spoil it."""
    shared = tiny_panel(0, 40)
    return replace(shared, dataset=replace(shared.dataset, adata=shared.dataset.adata.copy()))


def cells_of(panel: Panel, label: str) -> np.ndarray:
    """Rows of one perturbation."""
    return np.flatnonzero(panel.dataset.adata.obs["perturbation"] == label)


def overwrite(dataset: Dataset, target: int, source: int) -> None:
    """Write the expression of one cell over that of another."""
    for matrix, keep in ((dataset.adata.X, "X"), (dataset.adata.layers["counts"], "counts")):
        dense = matrix.toarray()
        dense[target] = dense[source]
        if keep == "X":
            dataset.adata.X = csr_matrix(dense)
        else:
            dataset.adata.layers["counts"] = csr_matrix(dense)


def test_views_are_copies_with_no_way_back(panel: Panel) -> None:
    """No parent, no file, no raw matrix, no shared memory; nothing but labels beside the expression."""
    source = panel.dataset.adata
    source.obs["responder"] = 1
    for view in training_views(panel.dataset, panel.split):
        assert not view.is_view
        assert view._adata_ref is None
        assert view.raw is None
        assert view.filename is None
        assert list(view.obs) == ["perturbation", "context", "batch"]
        assert set(view.uns) == {"modality", "gene_sets"}
        for mine, theirs in ((view.X, source.X), (view.layers["counts"], source.layers["counts"])):
            assert not np.shares_memory(mine.data, theirs.data)
            assert not np.shares_memory(mine.indices, theirs.indices)
        assert set(view.obs["perturbation"]).isdisjoint(panel.split.test)


def test_sound_views_pass_and_each_check_says_what_it_looked_at(panel: Panel) -> None:
    """Four findings, none a leak; withheld control cells count as test cells."""
    findings = inspect_views(panel.dataset, panel.split, *panel.views)
    assert [finding.subject for finding in findings] == ["perturbations", "cells", "copies", "rest"]
    assert not any(finding.is_leak for finding in findings)
    n_test = sum(len(cells_of(panel, label)) for label in panel.split.test)
    n_test += int(scored_controls(panel.dataset, panel.split).sum())
    assert f"none of {n_test} test cells is among the" in findings[2].sentence
    check_views(panel.dataset, panel.split, *panel.views)


def test_copies_of_test_cells_under_training_labels_are_counted_with_an_example(panel: Panel) -> None:
    """Two test cells lie in the data twice: once as they should, once as cells of a control and a single."""
    first, second = cells_of(panel, panel.split.test[0])[:2]
    single = panel.split.train[0]
    overwrite(panel.dataset, np.flatnonzero(given_controls(panel.dataset, panel.split))[0], first)
    overwrite(panel.dataset, cells_of(panel, single)[3], second)
    names = panel.dataset.adata.obs_names
    with pytest.raises(BenchmarkError, match=r"2 of 56 test cells have copies, such as") as caught:
        check_views(panel.dataset, panel.split, *panel.views)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert f"'{min(names[first], names[second])}' ({panel.split.test[0]}) as training cell" in sentence


def test_the_harness_refuses_leaking_data_and_calls_the_run_failed(
    screen: Path, store: Path, tmp_path: Path
) -> None:
    """Through the whole line: a screen in whose file a control cell is a test cell."""
    from anndata import read_h5ad

    from benchmark.records.tracking import Tracker
    from tests.tiny import COLUMNS

    run(request(screen, "no_change"))
    dataset = load_dataset(str(screen), **COLUMNS)
    split = load_split(dataset, "doubles", 0)
    adata = read_h5ad(screen)
    labels = adata.obs["perturbation"].astype(str).to_numpy()
    control = np.flatnonzero(given_controls(dataset, split))[0]
    test = np.flatnonzero(np.isin(labels, split.test))[0]
    dense = csr_matrix(adata.X).toarray()
    dense[control] = dense[test]
    adata.X = csr_matrix(dense)
    other = tmp_path / "leaking.h5ad"
    adata.write_h5ad(other)
    with pytest.raises(BenchmarkError, match="1 of 56 test cells have copies"):
        run(request(other, "no_change"))
    assert [run.status for run in Tracker().runs()] == ["failed", "finished"]


def test_a_control_cell_that_real_changes_are_measured_against_is_withheld_too(panel: Panel) -> None:
    train, validation = panel.views
    withheld = np.flatnonzero(scored_controls(panel.dataset, panel.split))[0]
    dense = train.X.toarray()
    dense[5] = panel.dataset.adata.X[withheld].toarray()
    train.X = csr_matrix(dense)
    with pytest.raises(BenchmarkError, match=r"1 of 56 test cells have copies, .* \(control\) as"):
        check_views(panel.dataset, panel.split, train, validation)


def test_a_copy_in_a_layer_is_found(panel: Panel) -> None:
    """Expression of a test cell in place of the counts of a training cell."""
    train, validation = panel.views
    dense = train.layers["counts"].toarray()
    test_row = cells_of(panel, panel.split.test[1])[0]
    dense[5] = panel.dataset.adata.X[test_row].toarray()
    train.layers["counts"] = csr_matrix(dense)
    with pytest.raises(BenchmarkError, match=r"1 of 56 test cells have copies, .* counts\)"):
        check_views(panel.dataset, panel.split, train, validation)


def test_shallow_cells_are_no_evidence_and_that_is_said(panel: Panel) -> None:
    """A row of few values is alike by chance; with one more value it is evidence."""
    test, train = cells_of(panel, panel.split.test[0])[0], cells_of(panel, panel.split.train[0])[0]
    for depth, is_leak in ((FEWEST - 1, False), (FEWEST, True)):
        for name in ("X", "counts"):
            matrix = panel.dataset.adata.X if name == "X" else panel.dataset.adata.layers[name]
            dense = matrix.toarray()
            dense[test] = dense[train] = np.arange(40) * (np.arange(40) >= 40 - depth)
            if name == "X":
                panel.dataset.adata.X = csr_matrix(dense)
            else:
                panel.dataset.adata.layers[name] = csr_matrix(dense)
        copies = inspect_views(panel.dataset, panel.split, *panel.views)[2]
        assert copies.is_leak == is_leak
        assert (
            is_leak or f"; 1 with fewer than {FEWEST} non-zero genes were not looked for" in copies.sentence
        )


def with_uns(view: AnnData) -> None:
    view.uns["test_means"] = np.ones(3)


def with_column(view: AnnData) -> None:
    view.obs["nearest_test_cell"] = 0


def with_gene_statistics(view: AnnData) -> None:
    view.var["de_in_test"] = 1.0


def with_embedding(view: AnnData) -> None:
    view.obsm["X_pca"] = np.zeros((view.n_obs, 2))


def with_raw(view: AnnData) -> None:
    view.raw = view


def with_layer(view: AnnData) -> None:
    view.layers["smoothed"] = view.X.copy()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (with_uns, "the validation cells have uns 'test_means', which is not promised"),
        (with_column, "the validation cells have obs 'nearest_test_cell', which is not promised"),
        (with_gene_statistics, "have var 'de_in_test'"),
        (with_embedding, "have obsm 'X_pca'"),
        (with_raw, "have a 'raw' matrix"),
        (with_layer, "have layers 'smoothed'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_whatever_is_not_promised_is_refused(
    panel: Panel, spoil: Callable[[AnnData], None], sentence: str
) -> None:
    """What is not expression, counts or a label may be made from test cells."""
    train, validation = panel.views
    spoil(validation)
    with pytest.raises(BenchmarkError, match=sentence):
        check_views(panel.dataset, panel.split, train, validation)


def test_a_view_into_the_data_set_is_refused(panel: Panel) -> None:
    """From a slice, which is no copy, every cell can be reached; so it can from borrowed memory."""
    adata = panel.dataset.adata
    adata.obs = adata.obs[["perturbation"]]
    train, validation = panel.views
    slice_ = adata[adata.obs["perturbation"].isin(panel.split.validation)]
    assert slice_._adata_ref is adata
    borrowed = train.copy()
    borrowed.X = csr_matrix(
        (adata.X.data[: train.X.nnz], train.X.indices, train.X.indptr), shape=train.shape, copy=False
    )
    for views in ((train, slice_), (borrowed, validation)):
        with pytest.raises(BenchmarkError, match="the data set itself behind them"):
            check_views(panel.dataset, panel.split, *views)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda split: {"validation": (*split.validation, split.test[0])}, "is in the validation cells"),
        (lambda split: {"train": (*split.train, split.test[0])}, "is in the training cells"),
        (lambda split: {"train": (*split.train, split.validation[0])}, "cells of the validation part"),
        (
            lambda split: {"validation": (*split.validation, split.train[0])},
            "is in the training and in the validation part",
        ),
    ],
)
def test_parts_that_overlap_are_refused(panel: Panel, change: Callable, sentence: str) -> None:
    """As an edited split or another way of making views would have them."""
    split: Split = panel.split.model_copy(update=change(panel.split))
    with pytest.raises(BenchmarkError, match=sentence):
        check_views(panel.dataset, split, *training_views(panel.dataset, split))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.randoms())
def test_equal_rows_have_equal_fingerprints_and_others_have_not(seed: int, order) -> None:
    """Whatever the order of the entries; one changed bit or one moved value changes the fingerprint."""
    rng = np.random.default_rng(seed)
    dense = rng.random((6, 30), dtype=np.float32) * (rng.random((6, 30)) < 0.5)
    dense[4] = dense[1]
    dense[5] = dense[1]
    dense[5, int(rng.integers(30))] += np.float32(0.5)
    matrix = csr_matrix(dense)
    hashes = fingerprints(matrix)
    assert hashes[4] == hashes[1]
    assert len(set(hashes.tolist())) == len({row.tobytes() for row in dense})
    entries = list(range(matrix.indptr[1], matrix.indptr[2]))
    order.shuffle(entries)
    shuffled = csr_matrix(
        (matrix.data[entries], matrix.indices[entries], [0, len(entries)]), shape=(1, matrix.shape[1])
    )
    assert fingerprints(shuffled)[0] == hashes[1]


def test_fingerprints_are_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are hashed a block at a time, and the last block may be short."""
    matrix = csr_matrix(np.random.default_rng(1).random((11, 7), dtype=np.float32))
    whole = fingerprints(matrix)
    monkeypatch.setattr("benchmark.data.blocks.ENTRIES", 28)
    assert np.array_equal(fingerprints(matrix), whole)
