"""The Python API gives what `run` records, and its plots show what they are given."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest

from benchmark import api
from benchmark.errors import BenchmarkError
from benchmark.runs.run import run
from benchmark.splits.views import scored_controls
from methods.additive import Additive
from tests.tiny import COLUMNS, request

matplotlib.use("agg")


@pytest.fixture
def figures():
    """Closes what was drawn."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_the_scores_are_those_that_a_run_records(store, screen):
    dataset = api.load_dataset(str(screen), **COLUMNS)
    split = api.load_split(dataset, "doubles", 0)
    method = api.fit("main_effects", dataset, split, penalty=3)
    predictions = api.predict(method, dataset, split, cells=20)
    scores = api.score(predictions, dataset, split)
    record, _ = run(request(screen, "main_effects", settings={"penalty": 3}))
    assert list(scores.index) == record.perturbations
    for name, values in record.scores.items():
        recorded = [np.nan if value is None else value for value in values]
        np.testing.assert_allclose(scores[name], recorded, rtol=1e-6, err_msg=name)


def test_a_class_can_be_fitted_and_what_it_refuses_is_a_fallback(screen):
    class Picky(Additive):
        def unsupported(self, perturbation):
            return "no pairs today" if perturbation.is_double else None

    dataset = api.load_dataset(str(screen), **COLUMNS)
    split = api.make_split(dataset, "doubles", 0)
    predictions = api.predict(api.fit(Picky, dataset, split), dataset, split, cells=5)
    assert predictions.fallbacks == dict.fromkeys(split.test, "no pairs today")
    assert {cells.shape for cells in predictions.cells.values()} == {(5, 40)}


def test_predictions_that_hold_the_answers_are_refused(screen):
    dataset = api.load_dataset(str(screen), **COLUMNS)
    split = api.make_split(dataset, "doubles", 0)
    labels = dataset.adata.obs["perturbation"].to_numpy()
    answers = {label: dataset.adata.X[labels == label].toarray() for label in split.test}
    with pytest.raises(BenchmarkError, match="closer to the test cells"):
        api.score(api.Predictions("oracle", answers, {}, "cells"), dataset, split)


def test_a_hyper_parameter_that_does_not_exist_is_refused(screen):
    dataset = api.load_dataset(str(screen), **COLUMNS)
    split = api.make_split(dataset, "doubles", 0)
    with pytest.raises(BenchmarkError, match="did you mean 'penalty'"):
        api.fit("main_effects", dataset, split, penalti=3)


def test_a_plot_of_scores_has_a_point_for_each_defined_value_and_a_bar_at_the_mean(figures):
    scores = {"a": pd.DataFrame({"mse": [1.0, 3.0, np.nan]}), "b": pd.DataFrame({"mse": [5.0]})}
    axes = api.plot_scores(scores, "mse")
    points = [group.get_offsets().data.tolist() for group in axes.collections]
    assert points == [[[1, 0], [3, 0]], [[5, 1]]]
    assert [line.get_xdata()[0] for line in axes.lines] == [2, 5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_a_plot_of_changes_has_a_point_per_gene(screen, figures):
    dataset = api.load_dataset(str(screen), **COLUMNS)
    split = api.make_split(dataset, "doubles", 0)
    predictions = api.predict(api.fit("no_change", dataset, split), dataset, split, cells=40)
    axes = api.plot_change(predictions, dataset, split, split.test[0])
    (points,) = (group.get_offsets() for group in axes.collections)
    tested = (dataset.adata.obs["perturbation"] == split.test[0]).to_numpy()
    mean, control = (
        dataset.adata.X[rows].mean(axis=0).A1 for rows in (tested, scored_controls(dataset, split))
    )
    np.testing.assert_allclose(points[:, 0], mean - control, atol=1e-5)
    np.testing.assert_allclose(points[:, 1], np.zeros(40), atol=1e-5)
