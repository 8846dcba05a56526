"""A method that generates counts hands them over as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from anndata import read_h5ad

from benchmark.data import load_dataset
from benchmark.data.dataset import Dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.scoring import score
from benchmark.predicting import predict_all, sample_cells
from benchmark.records.archive import read_archive
from benchmark.records.tracking import Tracker
from benchmark.registry import load_method
from benchmark.runs.rescore import rescore
from benchmark.runs.run import run
from benchmark.splits import load_split
from benchmark.splits.views import control_cells, training_views
from tests.tiny import COLUMNS, request, write_methods

METHODS = '''
import numpy as np
from benchmark.method import Method


class Thinned(Method):
    """Control cells of which each count is kept with a chance of nine tenths."""

    name = "thinned"
    expression = "counts"
    part = 1.0

    def fit(self, train, validation):
        self.seen_ = True
        return self

    def predict(self, control, perturbations):
        counts = control.layers["counts"].toarray().astype(int)
        for perturbation in perturbations:
            rng = np.random.default_rng(list(str(perturbation).encode()))
            yield (rng.binomial(counts, 0.9) * self.part).astype(np.float32)


class Choosy(Thinned):
    """Refuses what is asked first."""

    name = "choosy"

    def unsupported(self, perturbation):
        return "it is too hard" if str(perturbation) == "{first}" else None


class Broken(Thinned):
    """Answers halves."""

    name = "broken"
    part = 0.5
'''


@pytest.fixture
def methods(tmp_path, screen) -> str:
    dataset = load_dataset(str(screen), **COLUMNS)
    first = load_split(dataset, "doubles", 0).test[0]
    return str(write_methods(tmp_path, METHODS.replace("{first}", first)))


def test_a_run_keeps_counts_and_scores_them_both_ways(store, screen, methods, tmp_path):
    """Log metrics of what the counts stand for, the suite of counts of counts; a rescored run is the same."""
    record, _ = run(request(screen, f"{methods}:Thinned"))
    path = Tracker().artifact(record.run_id, record.archive, tmp_path)
    archive = read_h5ad(path)
    assert archive.uns["expression"] == "counts"
    assert np.array_equal(archive.X, np.round(archive.X))
    dataset = load_dataset(str(screen), **COLUMNS)
    split = load_split(dataset, "doubles", 0)
    predicted = read_archive(path, list(dataset.adata.var_names))
    both = score(dataset, split, predicted)
    logs = score(dataset, split, {label: predicted[label] for label in split.test})
    differ = [name for name in both if not both[name].equals(logs[name])]
    assert "expr_mse_unbiased" in differ
    assert {name for name in differ if not METRICS[name].spec.of_counts} == set()
    assert record.scores["expr_mse_unbiased"] == pytest.approx(both["expr_mse_unbiased"].tolist())
    assert rescore(record.run_id, force=True, dataset=dataset).done == [record.run_id]
    again = Tracker().record(record.run_id).scores
    assert again["expr_mse_unbiased"] == pytest.approx(record.scores["expr_mse_unbiased"])


def test_log_values_are_at_the_depth_of_the_control_cell(screen, methods):
    """A tenth of the counts is lost, and so is a tenth of what they stand for."""
    dataset = load_dataset(str(screen), **COLUMNS)
    split = load_split(dataset, "doubles", 0)
    start = sample_cells(control_cells(dataset, split), 20, 0)
    views = training_views(dataset, split)
    method = load_method(f"{methods}:Thinned")().fit(*views)
    predicted, _ = predict_all(method, start, split.test, lambda: views)
    label = split.test[0]
    totals, before = (np.expm1(cells).sum(axis=1) for cells in (predicted[label], start.X.toarray()))
    kept = predicted.counts[label].sum(axis=1) / start.layers["counts"].sum(axis=1).A1
    assert totals / before == pytest.approx(kept, rel=1e-4)


def test_what_is_refused_is_answered_in_counts_too(store, screen, methods):
    """The train mean, as whole numbers of the same mean."""
    record, _ = run(request(screen, f"{methods}:Choosy"))
    assert len(record.fallbacks) == 1


def test_counts_need_counts_and_are_whole(screen, methods):
    """One line each: the data hold none; the method answers halves."""
    dataset = load_dataset(str(screen), **COLUMNS)
    split = load_split(dataset, "doubles", 0)
    with pytest.raises(BenchmarkError, match=r"broken predicted counts for .* that are not whole numbers"):
        _predict(load_method(f"{methods}:Broken"), dataset, split)
    bare = dataset.adata.copy()
    del bare.layers["counts"]
    with pytest.raises(BenchmarkError, match="thinned predicts counts, but these data hold none"):
        _predict(load_method(f"{methods}:Thinned"), replace(dataset, adata=bare), split)


def _predict(method_class, dataset: Dataset, split) -> None:
    views = training_views(dataset, split)
    start = sample_cells(control_cells(dataset, split), 20, 0)
    predict_all(method_class().fit(*views), start, split.test, lambda: views)
