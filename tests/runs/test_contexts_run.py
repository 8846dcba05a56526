"""Runs on data with contexts: each is asked, scored and archived with its own control cells."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from benchmark.board import build_board
from benchmark.data import load_dataset
from benchmark.data.simulator.contexts import ContextsConfig, simulate_contexts
from benchmark.evaluation.controls import about_controls, count_controls
from benchmark.evaluation.scoring import ceiling, limit, reference_of, score
from benchmark.perturbation import Perturbation
from benchmark.predicting import predict_all, sample_cells, starts_by_context
from benchmark.records.archive import read_archive
from benchmark.records.tracking import Tracker
from benchmark.runs.request import Request
from benchmark.runs.rescore import rescore
from benchmark.runs.run import run
from benchmark.splits import make_split
from benchmark.splits.views import control_cells, training_views
from methods.same_elsewhere import SameElsewhere
from tests.tiny import COLUMNS, write_methods

pytestmark = pytest.mark.usefixtures("store")
HOW = {**COLUMNS, "context_column": "context", "batch_column": "batch"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    config = ContextsConfig(
        n_contexts=2, n_genes=40, n_singles=10, n_doubles=6, cells_per_perturbation=12, n_controls=40
    )
    found = tmp_path_factory.mktemp("screens") / "two_lines.h5ad"
    simulate_contexts(config)[0].write_h5ad(found)
    return found


@pytest.fixture
def dataset(path):
    return load_dataset(str(path), **HOW)


def request(path, method, split, seed=0, **options):
    return Request(method=method, dataset=str(path), split=split, seed=seed, columns=HOW, cells=20, **options)


def test_a_run_in_a_new_context_is_recorded_and_rescored(path, dataset):
    record, is_new = run(request(path, "same_elsewhere", "contexts_new"))
    assert is_new
    assert {Perturbation.parse(label).context for label in record.perturbations} == {"C1"}
    assert record.coverage == 1
    assert {name.rpartition("::")[0] for name in record.controls} == {"C1"}
    outcome = rescore(record.run_id, force=True, dataset=dataset)
    assert outcome.done == [record.run_id]
    assert Tracker().record(record.run_id).metrics == record.metrics


def test_what_a_context_refuses_is_the_train_mean(path):
    record, _ = run(request(path, "context_mean", "contexts_new"))
    assert set(record.fallbacks) == set(record.perturbations)
    mean, _ = run(request(path, "train_mean", "contexts_new"))
    assert record.scores["mse"] == mean.scores["mse"]


def test_several_contexts_are_each_scored_as_if_alone(path, dataset):
    """Their scores are those of the context's own cells, in data that hold no others."""
    split = make_split(dataset, "doubles", 0)
    method = SameElsewhere().fit(*training_views(dataset, split))
    start = sample_cells(control_cells(dataset, split), 20, 0)
    predicted, refused = predict_all(method, start, split.test, lambda: training_views(dataset, split))
    assert set(refused) == set(split.test)
    whole = score(dataset, split, predicted)
    assert list(whole.index) == list(split.test)
    for context in split.contexts:
        part = split.of_context(context)
        alone = score(dataset, part, {label: predicted[label] for label in part.test})
        pd.testing.assert_frame_equal(whole.loc[list(part.test)], alone)
        own = dataset.adata[dataset.adata.obs["context"] == context]
        reference = reference_of(dataset, part)
        controls = np.asarray(own.X[(own.obs["perturbation"] == "control").to_numpy()].mean(axis=0)).ravel()
        assert np.allclose((reference.control.mean + reference.given.mean) / 2, controls, atol=1e-6)
    for bound in (limit, ceiling):
        assert list(bound(dataset, split).index) == list(split.test)


def test_each_context_starts_from_its_own_control_cells(path, dataset):
    record, _ = run(request(path, "no_change", "doubles"))
    split = make_split(dataset, "doubles", 0)
    start = sample_cells(control_cells(dataset, split), 20, 0)
    starts = starts_by_context(start)
    assert {name: cells.n_obs for name, cells in starts.items()} == {"C1": 20, "C2": 20}
    archive = ad.read_h5ad(Tracker().artifact(record.run_id, record.archive, path.parent))
    context_of = dict(zip(dataset.adata.obs_names, dataset.adata.obs["context"], strict=True))
    rows = archive.obs[archive.obs["perturbation"] != "control"]
    for label, cell in zip(rows["perturbation"], rows["control_cell"], strict=True):
        assert context_of[cell] == Perturbation.parse(label).context
    cells = read_archive(path.parent / record.archive, list(dataset.adata.var_names))
    assert set(cells) == set(split.test)


def test_too_few_control_cells_are_said_of_each_context(dataset):
    counts = count_controls(dataset, make_split(dataset, "doubles", 0))
    assert counts["C1::given"] == counts["C2::scored"] == 20
    enough = {"C1::given": 20, "C1::scored": 20, "C1::needed": 9}
    said = about_controls({**enough, "C2::shared": 5, "C2::needed": 9})
    assert said.startswith("in C1 20 control cells for methods, 20 others for real changes; in C2 5 control")
    assert "too few" in said.partition("; ")[2]


def test_seeds_take_turns_with_contexts_on_the_board(path):
    for seed in range(2):
        run(request(path, "general", "contexts", seed))
    (block,) = build_board(Tracker().runs())
    (row,) = block.rows
    assert row.seed_list == [0, 1]
    each = [row.groups[name]["mse"].mean for name in ("in C1", "in C2")]
    assert row.metrics["mse"].mean == pytest.approx(np.mean(each))
    assert row.metrics["mse"].mean == pytest.approx(
        np.mean([run(request(path, "general", "contexts", seed))[0].metrics["mse"].mean for seed in range(2)])
    )


BLIND = """
from methods.train_mean import TrainMean
class Blind(TrainMean):
    name = "blind"
    supports_contexts = False
"""


def test_a_method_that_looks_at_no_contexts_is_said_to(path, tmp_path, caplog):
    method = f"{write_methods(tmp_path, BLIND)}:Blind"
    run(request(path, method, "contexts_new"))
    assert "blind looks at no contexts" in caplog.text
