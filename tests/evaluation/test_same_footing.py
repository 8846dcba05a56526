"""What is drawn does not count: metrics that read means read the mean that a method predicts, and no more."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from benchmark import api
from benchmark.board.build import build_board
from benchmark.data.cards import load_card
from benchmark.data.dataset import availability
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.scoring import score
from benchmark.perturbation import Perturbation
from benchmark.records.tracking import Tracker
from benchmark.runs.anchors import ensure_anchors
from benchmark.runs.handed_in import score_file
from benchmark.runs.rescore import rescore
from benchmark.runs.run import run
from benchmark.splits import load_split
from methods._pseudobulk import mean_expression
from tests.tiny import COLUMNS, request

OF_MEANS = [name for name, declared in METRICS.items() if declared.spec.reads == "mean"]
BASELINES = ("no_change", "train_mean", "additive", "linear", "main_effects")


@pytest.fixture(params=["counts", "shallow counts", "dense log1p", "norman19_devel"])
def question(request, screen, tmp_path):
    """Simulated counts, one in thirty of them, so that most are zero, dense log values, and real cells."""
    if request.param == "norman19_devel":
        card = load_card("norman19_devel")
        if availability(card) != "on this machine":
            pytest.skip(f"{card.local_file} is in no folder of BENCHMARK_DATA")
        dataset = api.load_dataset("norman19_devel")
    elif request.param == "counts":
        dataset = api.load_dataset(str(screen), **COLUMNS)
    elif request.param == "shallow counts":
        cells = ad.read_h5ad(screen)
        thinned = np.random.default_rng(0).binomial(csr_matrix(cells.X).toarray().astype(int), 1 / 30)
        cells.X = csr_matrix(thinned.astype(np.float32))
        path = tmp_path / "shallow.h5ad"
        cells[thinned.any(axis=1)].write_h5ad(path)
        dataset = api.load_dataset(str(path), **COLUMNS)
    else:
        counted = api.load_dataset(str(screen), **COLUMNS).adata
        path = tmp_path / "dense.h5ad"
        ad.AnnData(counted.X.toarray(), obs=counted.obs[["perturbation"]], var=counted.var).write_h5ad(path)
        dataset = api.load_dataset(str(path), **{**COLUMNS, "expression": "log1p"})
    return dataset, api.make_split(dataset, "doubles", 0)


def scores_of(method: str, dataset, split, cells: int) -> pd.DataFrame:
    fitted = api.fit(method, dataset, split)
    return api.score(api.predict(fitted, dataset, split, cells=cells), dataset, split)[OF_MEANS]


def test_a_strangers_train_mean_scores_what_the_row_scores(question, tmp_path):
    """The mean over training and validation perturbations of their means, one row for each test label."""
    dataset, split = question
    learned = dataset.adata[dataset.adata.obs["perturbation"].isin([*split.train, *split.validation])]
    mean = np.mean(list(mean_expression(learned).values()), axis=0)
    path = tmp_path / "theirs.h5ad"
    ad.AnnData(
        np.tile(mean, (len(split.test), 1)),
        obs=pd.DataFrame({"perturbation": split.test}, [f"row{row}" for row in range(len(split.test))]),
        var=pd.DataFrame(index=dataset.adata.var_names),
    ).write_h5ad(path)
    theirs = score_file(path, dataset, split, predicts="mean").scores[OF_MEANS]
    pd.testing.assert_frame_equal(theirs, scores_of("train_mean", dataset, split, 256), atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", BASELINES)
def test_the_number_of_drawn_cells_moves_no_metric_of_means(question, method):
    dataset, split = question
    few, usual, many = (scores_of(method, dataset, split, cells) for cells in (16, 64, 256))
    pd.testing.assert_frame_equal(few, usual, atol=1e-6, rtol=0)
    pd.testing.assert_frame_equal(many, usual, atol=1e-6, rtol=0)


def test_metrics_read_what_they_declare(question):
    """Other cells of the same mean leave every metric that reads means where it is, and move the others."""
    dataset, split = question
    fitted = api.fit("train_mean", dataset, split)
    cells = api.predict(fitted, dataset, split, cells=16).cells
    flat = {
        label: np.tile(mean, (8, 1)).astype(np.float32)
        for label, mean in zip(
            split.test, fitted.predict_mean([*map(Perturbation.parse, split.test)]), strict=True
        )
    }
    one, other = score(dataset, split, cells), score(dataset, split, flat)
    pd.testing.assert_frame_equal(one[OF_MEANS], other[OF_MEANS], atol=1e-5, rtol=0)
    for name in {"energy_distance", "variance_ratio", "interval_coverage_50"}:
        assert METRICS[name].spec.reads == "cells"
        assert not np.allclose(one[name], other[name])


def test_the_scaled_score_of_the_train_mean_is_zero(screen, store):
    asked = request(screen, "train_mean", cells=16)
    record, _ = run(asked)
    ensure_anchors(asked, record.coordinates)
    (block,) = build_board(Tracker().runs())
    (row,) = [row for row in block.rows if row.method == "train_mean"]
    assert set(row.scaled) >= {
        "mse",
        "pearson",
        "de_overlap_adjusted",
        "direction_balanced",
        "energy_distance",
    }
    assert row.scaled["mse"].mean == pytest.approx(0, abs=1e-12)
    for name, found in row.scaled.items():
        assert found.mean is None or found.mean == pytest.approx(0, abs=1e-12), name
        assert (found.low, found.high) in ((None, None), (0, 0)), name


def test_what_a_run_scored_its_archive_scores_when_it_is_handed_in(screen, store, tmp_path):
    """With fewer control cells than are asked for, each is there once, so that none fakes significance."""
    record, _ = run(request(screen, "main_effects", cells=256))
    path = Tracker().artifact(record.run_id, record.archive, tmp_path)
    dataset = api.load_dataset(str(screen), **COLUMNS)
    split = load_split(dataset, "doubles", 0)
    handed_in = score_file(path, dataset, split).scores
    recorded = pd.DataFrame(record.scores, index=record.perturbations).astype(float)
    pd.testing.assert_frame_equal(handed_in, recorded, check_names=False, rtol=1e-12)


def test_a_run_says_how_many_control_cells_there_are(screen, store):
    record, _ = run(request(screen, cells=256))
    assert (record.controls["given"], record.controls["scored"]) == (20, 20)
    assert record.sampling_noise is None


def test_a_run_is_of_as_many_cells_as_it_could_draw(screen, store):
    """Whoever asks for more than there are gets the same run, and its record says what was predicted."""
    record, _ = run(request(screen, cells=256))
    assert record.coordinates.cells == 20
    assert run(request(screen, cells=21)) == (record, False)
    shared, done_now = run(request(screen, cells=256, shared_controls=True))
    assert done_now
    assert shared.coordinates.cells == 40


def test_shared_controls_are_another_split_that_is_found_again(screen, store):
    """They stand in a block of their own, and are scored anew with all control cells on both sides."""
    record, _ = run(request(screen, "main_effects", cells=40, shared_controls=True))
    assert record.controls["shared"] == 40
    apart, _ = run(request(screen, "main_effects", cells=40))
    assert apart.coordinates.split_digest != record.coordinates.split_digest
    assert len(build_board(Tracker().runs())) == 2
    dataset = api.load_dataset(str(screen), **COLUMNS)
    assert rescore(record.run_id, force=True, dataset=dataset).done == [record.run_id]
    assert Tracker().record(record.run_id).scores == record.scores
