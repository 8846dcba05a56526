"""Several cells are predicted for each control cell, and every row keeps which one it came from."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.predicting import sample_cells
from benchmark.records.archive import read_archive
from benchmark.records.record import Coordinates, Record
from benchmark.records.tracking import Tracker
from benchmark.runs.run import run
from tests import tiny
from tests.tiny import COLUMNS, PATH_OPTIONS, write_methods

CELLS = 7
request = partial(tiny.request, cells=CELLS)
STOCHASTIC = """
import numpy as np
from methods.train_mean import TrainMean

class Draws(TrainMean):
    "Adds noise below 0.01 to each row that it is given, anew for every row."
    name = "draws"
    draws = True
    def predict_mean(self, perturbations):
        return None
    def predict(self, control, perturbations):
        self.require_fitted()
        for perturbation in perturbations:
            rng = np.random.default_rng([self.seed, *str(perturbation).encode()])
            noise = rng.uniform(0.001, 0.009, control.shape)
            yield (control.X.toarray() + noise).astype(np.float32)

class Refuses(Draws):
    name = "refuses"
    def unsupported(self, perturbation):
        return "of principle"
"""


@pytest.fixture
def own(tmp_path):
    return write_methods(tmp_path, STOCHASTIC)


def stored_archive(record: Record, folder: Path) -> Path:
    return Path(Tracker().client.download_artifacts(record.run_id, record.archive, str(folder)))


def dense(values) -> np.ndarray:
    return values.toarray() if sp.issparse(values) else np.asarray(values)


def controls(screen) -> ad.AnnData:
    adata = load_dataset(str(screen), **COLUMNS).adata
    return adata[adata.obs["perturbation"] == "control"]


def test_the_drawn_cells_are_given_in_whole_blocks_and_the_first_is_that_of_one_sample(screen):
    control = controls(screen)
    one, three = sample_cells(control, CELLS, 0), sample_cells(control, CELLS, 0, 3)
    assert three.n_obs == 3 * CELLS
    assert three.obs_names.is_unique
    assert three.obs["sample"].tolist() == [0] * CELLS + [1] * CELLS + [2] * CELLS
    for block in range(3):
        rows = three[block * CELLS : (block + 1) * CELLS]
        np.testing.assert_array_equal(rows.X.toarray(), one.X.toarray())
        np.testing.assert_array_equal(rows.layers["counts"].toarray(), one.layers["counts"].toarray())
        assert rows.obs["control_cell"].tolist() == one.obs["control_cell"].tolist()
    np.testing.assert_array_equal(control[one.obs["control_cell"]].X.toarray(), one.X.toarray())


def test_no_cell_is_drawn_twice(screen):
    """With fewer control cells than are asked for, all of them are taken once."""
    start = sample_cells(controls(screen), 100, 0)
    assert start.n_obs == 40
    assert start.obs["control_cell"].is_unique


@pytest.mark.usefixtures("store")
def test_a_stochastic_method_gives_that_many_different_cells_for_each_control_cell(screen, own, tmp_path):
    record, _ = run(request(screen, f"{own}:Draws", samples=4))
    adata = ad.read_h5ad(stored_archive(record, tmp_path))
    values = dense(adata.X)
    own_rows = {
        name: row
        for row, (label, name) in enumerate(
            zip(adata.obs["perturbation"], adata.obs["control_cell"], strict=True)
        )
        if label == "control"
    }
    assert len(own_rows) == 20  # the half that methods are given
    assert set(own_rows) < set(controls(screen).obs_names)
    assert (adata.obs.loc[adata.obs["perturbation"] == "control", "sample"] == 0).all()
    for label in record.perturbations:
        rows = np.flatnonzero(adata.obs["perturbation"] == label)
        assert len(rows) == 4 * CELLS
        for _, group in adata.obs.iloc[rows].groupby("control_cell", observed=True):
            assert sorted(group["sample"]) == [0, 1, 2, 3]
        assert len(np.unique(values[rows], axis=0)) == 4 * CELLS
        from_control = values[[own_rows[name] for name in adata.obs["control_cell"].iloc[rows]]]
        assert ((values[rows] > from_control) & (values[rows] < from_control + 0.01)).all()


@pytest.mark.usefixtures("store")
def test_the_archive_with_samples_reads_back_as_what_was_scored(screen, own, tmp_path):
    record, _ = run(request(screen, f"{own}:Draws", samples=2))
    genes = list(controls(screen).var_names)
    cells = read_archive(stored_archive(record, tmp_path), genes)
    assert sorted(cells) == sorted(record.perturbations)
    for index, label in enumerate(record.perturbations):
        assert cells[label].shape == (2 * CELLS, len(genes))
        real = load_dataset(str(screen), **COLUMNS).adata
        truth = dense(real[real.obs["perturbation"] == label].X).mean(axis=0, dtype=float)
        error = np.mean((dense(cells[label]).mean(axis=0, dtype=float) - truth) ** 2)
        assert record.scores["mse"][index] == pytest.approx(error, rel=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("store")
def test_cell_eval_reads_the_archive_as_it_is(screen, own, tmp_path):
    cell_eval = pytest.importorskip("cell_eval")
    record, _ = run(request(screen, f"{own}:Draws", samples=2))
    real = load_dataset(str(screen), **COLUMNS).adata
    real = real[real.obs["perturbation"].isin(["control", *record.perturbations])].copy()
    evaluator = cell_eval.MetricsEvaluator(
        adata_pred=str(stored_archive(record, tmp_path)),
        adata_real=real,
        control_pert="control",
        pert_col="perturbation",
        num_threads=1,
        outdir=str(tmp_path / "out"),
        skip_de=True,
    )
    scores, _ = evaluator.compute(profile="anndata", write_csv=False, break_on_error=True)
    found = {row["perturbation"]: row["mse"] for row in scores.to_dicts()}
    assert found == pytest.approx(
        dict(zip(record.perturbations, record.scores["mse"], strict=True)), rel=1e-4
    )


@pytest.mark.usefixtures("store")
def test_a_method_that_draws_nothing_has_no_samples(screen):
    """That is said before anything is recorded."""
    with pytest.raises(BenchmarkError, match="additive draws nothing, so that all samples would be alike"):
        run(request(screen, "additive", samples=3))
    assert Tracker().runs() == []


@pytest.mark.usefixtures("store")
def test_what_drawing_adds_to_the_error_of_a_mean_is_measured(screen, own, tmp_path):
    """By hand from the archive: variance over control cells of the mean of their samples, over the cells."""
    record, _ = run(request(screen, f"{own}:Draws", samples=4))
    archive = ad.read_h5ad(stored_archive(record, tmp_path))
    noises = []
    for label in record.perturbations:
        cells = dense(archive[archive.obs["perturbation"] == label].X).astype(float)
        of_cells = cells.reshape(4, CELLS, -1).mean(axis=0)
        noises.append((of_cells.var(axis=0, ddof=1) / CELLS).mean())
    assert record.sampling_noise == pytest.approx(np.mean(noises), rel=1e-6)


@pytest.mark.usefixtures("store")
def test_the_train_mean_stands_in_with_as_many_rows(screen, own, tmp_path):
    record, _ = run(request(screen, f"{own}:Refuses", samples=2))
    assert record.coverage == 0
    labels = ad.read_h5ad(stored_archive(record, tmp_path)).obs["perturbation"].value_counts()
    assert {labels[label] for label in record.perturbations} == {2 * CELLS}


def coordinates(**other) -> Coordinates:
    plain = dict.fromkeys(
        ("method", "method_version", "configuration", "source_digest", "dataset", "dataset_digest"), "x"
    )
    plain.update(split="doubles", split_digest="y", seed=3, cells=256, config={"rank": 2})
    return Coordinates(**plain, **other)


def test_one_sample_has_the_key_of_the_time_before_samples():
    """By hand: SHA-256 of the sorted JSON of all coordinates but three labels."""
    parts = {
        "cells": 256,
        "config": {"rank": 2},
        "dataset_digest": "x",
        "method": "x",
        "method_version": "x",
        "seed": 3,
        "source_digest": "x",
        "split_digest": "y",
    }
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    assert coordinates().key == coordinates(samples=1).key == key
    assert len({key, coordinates(samples=2).key, coordinates(samples=3).key}) == 3


def test_a_run_that_is_older_than_samples_is_found_and_one_with_samples_is_another(
    screen, own, store, tmp_path
):
    first, _ = run(request(screen, "additive"))
    client = Tracker().client
    older = json.loads(first.model_dump_json())
    assert older["coordinates"].pop("samples") == 1
    path = tmp_path / "record.json"
    path.write_text(json.dumps(older))
    client.log_artifact(first.run_id, str(path))
    client.delete_tag(first.run_id, "samples")
    again, done_now = run(request(screen, "additive"))
    assert (again, done_now) == (first, False)
    other, done_now = run(request(screen, f"{own}:Draws", samples=2))
    assert done_now
    assert other.coordinates.samples == 2


def test_the_record_and_the_screen_say_how_many_samples(screen, own, store, type_):
    command = ["run", "--method", f"{own}:Draws", "--dataset", screen, *PATH_OPTIONS, "--cells", "20"]
    outs = []
    command.append("--no-anchors")
    for options in (["--json", "--samples", "3"], ["--samples", "3"], []):
        code, out, _ = type_(*command, *options)
        assert code == 0
        outs.append(out)
    at = json.loads(outs[0])["coordinates"]
    assert (at["cells"], at["samples"]) == (20, 3)
    assert "60 predicted cells per perturbation (3 samples for each of 20 control cells);" in outs[1]
    assert "20 predicted cells per perturbation;" in outs[2]
    assert "samples" not in outs[2]
    tags = sorted(run.tags["samples"] for run in Tracker().runs())
    assert tags == ["1", "3"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("0", "At least 1 sample per control cell must be drawn, not 0."),
        ("-2", "At least 1 sample per control cell must be drawn, not -2."),
        ("many", "Invalid value for '--samples'"),
        ("1.5", "Invalid value for '--samples'"),
    ],
)
def test_samples_that_are_no_positive_number_get_one_line_and_exit_2(type_, home, value, sentence):
    code, out, err = type_("run", "--method", "additive", "--samples", value)
    (line,) = err.strip().splitlines()
    assert (code, out) == (2, "")
    assert line.startswith("Error: ")
    assert sentence in line
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("store")
def test_of_a_method_that_predicts_means_nothing_is_drawn(screen, tmp_path):
    file = write_methods(
        tmp_path, STOCHASTIC + "\nclass Means(Draws):\n    name = 'means'\n    predicts = 'mean'\n"
    )
    record, _ = run(request(screen, f"{file}:Means"))
    assert record.sampling_noise is None
