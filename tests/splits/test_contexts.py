"""Splits of conditions: what is held out in which context, and what was measured elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.contexts import labels_of
from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.evaluation.leaks import check_views, examine
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.splits import check_split, load_split, make_split
from benchmark.splits.contexts import CONTEXT_SCHEMES, contexts, contexts_and_genes, contexts_new
from benchmark.splits.views import control_cells, given_controls, scored_controls, training_views

LABELS = [f"{line}::{gene}+ctrl" for line in ("K", "R", "T") for gene in "ABCDEFGHIJ"] + [
    "K::A+B",
    "R::Z+ctrl",
]


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("simulated_contexts")


def genes(labels):
    return {gene for label in labels for gene in Perturbation.parse(label).genes}


def lines(labels):
    return {Perturbation.parse(label).context for label in labels}


@pytest.mark.parametrize("seed", range(4))
def test_a_context_shows_a_part_of_its_perturbations_and_the_others_show_all(seed):
    parts = contexts(LABELS, seed)
    assert lines(parts.test) == lines(parts.validation) == {"KRT"[seed % 3]}
    assert (len(parts.test), len(parts.validation)) == (5, 1)
    assert sorted(parts.train + parts.validation + parts.test) == sorted(LABELS)
    elsewhere = {
        Perturbation.parse(label) for label in parts.train if not lines([label]) <= lines(parts.test)
    }
    assert {Perturbation.parse(label) for label in parts.test} <= elsewhere


def test_what_was_measured_in_one_context_alone_is_never_held_out():
    assert all("K::A+B" in contexts(LABELS, seed).train for seed in (0, 3, 6))


def test_a_new_context_shows_nothing_but_its_control_cells():
    parts = contexts_new(LABELS, 1)
    assert lines(parts.test) == {"R"}
    assert "R::Z+ctrl" not in parts.test
    assert lines(parts.train) == {"K", "T"}
    assert lines(parts.validation) == {"T"}
    assert genes(parts.validation) <= genes(label for label in parts.train if lines([label]) == {"K"})


def test_an_unseen_gene_in_an_unseen_context_is_seen_nowhere():
    parts = contexts_and_genes(LABELS, 2)
    assert lines(parts.test) == {"T"}
    assert "T" not in lines(parts.train + parts.validation)
    assert len(parts.test) == 2
    assert genes(parts.test).isdisjoint(genes(parts.train + parts.validation))
    assert genes(parts.validation).isdisjoint(genes(parts.train))


@pytest.mark.parametrize("scheme", [*CONTEXT_SCHEMES, "contexts_test80_validation5", "doubles"])
def test_splits_of_contexts_are_sound_frozen_and_drawn_again(dataset, scheme, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path))
    split = load_split(dataset, scheme, 1)
    assert check_split(split, dataset) == []
    assert load_split(dataset, scheme, 1) == split
    check_views(dataset, split, *training_views(dataset, split))


def test_fewer_are_shown_with_another_share(dataset):
    few, usual = make_split(dataset, "contexts_test80", 0), make_split(dataset, "contexts", 0)
    assert set(usual.test) < set(few.test)
    assert set(few.groups.values()) == {"seen_elsewhere"}


def test_a_scheme_of_perturbations_holds_them_out_in_every_context(dataset):
    split = make_split(dataset, "doubles", 0)
    assert split.contexts == ("C1", "C2", "C3")
    held_out = {Perturbation.parse(label) for label in split.test}
    assert len(split.test) == 3 * len(held_out)
    assert held_out.isdisjoint(Perturbation.parse(label) for label in split.train)
    assert set(split.groups.values()) == {"combo_seen2"}


def test_controls_are_divided_where_something_is_held_out_and_given_elsewhere(dataset):
    split = make_split(dataset, "contexts", 1)
    context = dataset.adata.obs["context"].to_numpy()
    given, scored = given_controls(dataset, split), scored_controls(dataset, split)
    assert not (given & scored).any()
    assert [int(given[context == name].sum()) for name in ("C1", "C2", "C3")] == [240, 120, 240]
    assert [int(scored[context == name].sum()) for name in ("C1", "C2", "C3")] == [0, 120, 0]
    assert set(control_cells(dataset, split).obs["context"]) == {"C2"}


def test_methods_are_told_context_and_batch_and_see_no_test_condition(dataset):
    split = make_split(dataset, "contexts_new", 0)
    train, validation = training_views(dataset, split)
    assert list(train.obs) == ["perturbation", "context", "batch"]
    seen = train.obs[train.obs["context"] == "C1"]
    assert set(seen["perturbation"]) == {CONTROL}
    assert set(validation.obs["context"]) == {"C2"}
    shown = dataset.adata.obs_names[np.isin(labels_of(dataset.adata.obs), split.test)]
    assert set(shown).isdisjoint([*train.obs_names, *validation.obs_names])


def test_preparation_is_repeated_without_the_cells_of_test_conditions_alone(dataset):
    findings = examine(dataset, make_split(dataset, "contexts", 0))
    assert [finding.sentence for finding in findings if finding.is_leak] == []


def test_a_test_cell_of_the_context_is_found_among_training_cells(dataset):
    split = make_split(dataset, "contexts", 0)
    other = split.model_copy(update={"train": (*split.train, split.test[0])})
    with pytest.raises(BenchmarkError, match=f"'{split.test[0]}' is in the training cells"):
        check_views(dataset, split, *training_views(dataset, other))


def test_one_context_has_none_to_be_tested():
    with pytest.raises(
        BenchmarkError, match="has one context, but the split 'contexts_new' tests one of several"
    ):
        make_split(load_dataset("simulated"), "contexts_new", 0)


def test_own_lists_name_conditions_or_a_perturbation_in_all_contexts(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHMARK_HOME", str(tmp_path))
    alone = sorted({label for label in dataset.adata.obs["perturbation"] if "+" not in label} - {CONTROL})
    first, second, third = alone[:3]
    path = tmp_path / "mine.csv"
    path.write_text(
        f"perturbation,part\n{first},train\nC1::{second},test\nC2::{second},train\n{third},validation\n"
    )
    split = load_split(dataset, str(path), 0)
    assert split.test == (f"C1::{second}",)
    assert split.train == tuple(sorted([*(f"C{n}::{first}" for n in (1, 2, 3)), f"C2::{second}"]))
    assert split.groups == {f"C1::{second}": "seen_elsewhere"}


@pytest.mark.parametrize("scheme", ["contexts", "contexts_new"])
def test_perturbations_that_were_measured_in_no_other_context_leave_nothing_to_transfer(scheme):
    labels = ["C1::A", "C1::B", "C2::C", "C2::D"]
    with pytest.raises(BenchmarkError, match=r"None of the 2 perturbations of context 'C.' was measured in"):
        CONTEXT_SCHEMES[scheme](labels, 0)
