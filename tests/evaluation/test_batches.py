"""Whether perturbations lie in other batches than the control cells, so that batches are in their changes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data import load_dataset
from benchmark.data.simulator.contexts import ContextsConfig, simulate_contexts
from benchmark.evaluation.controls import about_controls, count_controls, in_other_batches
from benchmark.splits import make_split
from benchmark.splits.views import scored_controls
from tests.tiny import COLUMNS

CONFIG = ContextsConfig(
    n_contexts=2,
    n_genes=60,
    n_singles=10,
    n_doubles=6,
    cells_per_perturbation=60,
    n_controls=200,
    batch_spread=0.5,
)
CONFOUNDED = "C1::"
"""The first tested double of this context is measured in one batch alone."""


@pytest.fixture(scope="module")
def screen():
    return simulate_contexts(CONFIG)


def load(cells, path):
    cells.write_h5ad(path)
    return load_dataset(str(path), context_column="context", batch_column="batch", **COLUMNS)


@pytest.fixture(scope="module")
def pooled(screen, tmp_path_factory):
    """Every condition in both batches of its context, as it was drawn."""
    return load(screen[0], tmp_path_factory.mktemp("pooled") / "pooled.h5ad")


@pytest.fixture(scope="module")
def confounded(screen, pooled, tmp_path_factory):
    """The same without the cells of one test condition that lie in the second batch."""
    cells = screen[0]
    label = next(each for each in make_split(pooled, "doubles", 0).test if each.startswith(CONFOUNDED))
    own = (cells.obs["context"] == "C1") & (cells.obs["perturbation"] == label.removeprefix(CONFOUNDED))
    kept = ~(own & (cells.obs["batch"] == "C1B2")).to_numpy()
    return load(cells[kept].copy(), tmp_path_factory.mktemp("one") / "confounded.h5ad"), label


def test_cells_that_were_drawn_into_batches_by_chance_lie_where_control_cells_do(pooled):
    split = make_split(pooled, "doubles", 0)
    assert not any(in_other_batches(pooled, split.of_context(name)) for name in split.contexts)
    assert not any(name.endswith("elsewhere") for name in count_controls(pooled, split))


def test_a_perturbation_in_one_batch_of_two_is_found_counted_and_said(confounded):
    dataset, label = confounded
    split = make_split(dataset, "doubles", 0)
    assert label in split.test
    assert in_other_batches(dataset, split.of_context("C1")) == [label]
    counts = count_controls(dataset, split)
    assert counts["C1::elsewhere"] == 1
    assert "C2::elsewhere" not in counts
    said = about_controls(counts)
    assert "of the test perturbations 1 in other batches than these" in said.partition("; in C2")[0]
    assert "batches" not in said.partition("in C2")[2]


def test_what_differs_between_batches_is_in_its_change(screen, confounded):
    """The positive control: against control cells of its own batch the change is nearer to the true one."""
    dataset, label = confounded
    truth, name = screen[1]["C1"], label.removeprefix(CONFOUNDED)
    true = dict(zip(truth.perturbations, truth.mean, strict=True))
    obs = dataset.adata.obs
    control = scored_controls(dataset, make_split(dataset, "doubles", 0).of_context("C1"))
    own = control & (obs["batch"] == "C1B1").to_numpy()
    cells = ((obs["context"] == "C1") & (obs["perturbation"] == name)).to_numpy()

    def pooled_mean(chosen):
        return np.log1p(np.expm1(dataset.adata.X[chosen].toarray()).mean(axis=0))

    def error(chosen):
        change = pooled_mean(cells) - pooled_mean(chosen)
        return np.mean((change - (true[name] - true["control"])) ** 2)

    assert own.sum() > 30
    assert error(control) > 2 * error(own)


def test_data_without_batches_say_nothing_of_them(screen, tmp_path):
    cells = screen[0][screen[0].obs["context"] == "C1"].copy()
    path = tmp_path / "plain.h5ad"
    cells.write_h5ad(path)
    dataset = load_dataset(str(path), **COLUMNS)
    assert in_other_batches(dataset, make_split(dataset, "doubles", 0)) == []
