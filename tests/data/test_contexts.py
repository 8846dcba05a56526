"""Contexts and batches of what people bring, and of the embedded screen in three contexts."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from benchmark.contexts import contexts_of, labels_of, require_one
from benchmark.data import load_dataset
from benchmark.data.cards import load_card
from benchmark.data.digests import content_digest
from benchmark.data.prepared import prepared_file
from benchmark.data.simulator import embedded
from benchmark.data.simulator.contexts import ContextsConfig, rewired, simulate_contexts
from benchmark.data.simulator.simulate import cell_of
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from tests.data.brought import HOW, brought, file

SMALL = ContextsConfig(
    n_contexts=2, n_genes=40, n_singles=8, n_doubles=4, cells_per_perturbation=20, n_controls=200
)


def in_lines(cells, rule=lambda number: f"L{number % 2}"):
    """Cells of two lines, every other one."""
    cells.obs["line"] = [rule(number) for number in range(cells.n_obs)]
    return cells


def test_a_condition_is_a_perturbation_behind_its_context():
    found = Perturbation.parse("K562::B+A")
    assert (found.context, found.genes, found.label, str(found)) == ("K562", ("A", "B"), "K562::A+B", "A+B")
    assert found == Perturbation.parse("A+B") == Perturbation.parse("RPE1::A+B")
    assert Perturbation.parse("K562::control").is_control


def test_context_and_batch_are_read_from_the_columns_that_are_named(tmp_path):
    cells = in_lines(brought())
    cells.obs["run"] = "one"
    how = {**HOW, "context_column": "line", "batch_column": "run"}
    obs = load_dataset(str(file(tmp_path, cells)), **how).adata.obs
    assert contexts_of(obs) == ["L0", "L1"]
    assert obs["batch"].unique().tolist() == ["one"]
    assert labels_of(obs)[[0, 20, 21]].tolist() == ["control", "L0::G0", "L1::G0"]


def test_one_context_is_none_and_leaves_the_digest_as_it_is(tmp_path):
    plain = load_dataset(str(file(tmp_path, brought())), **HOW)
    one = file(tmp_path / "one", in_lines(brought(), lambda number: "K562"))
    named = load_dataset(str(one), **HOW, context_column="line")
    assert named.digest == plain.digest
    assert contexts_of(named.adata.obs) == [""]
    assert labels_of(named.adata.obs).tolist() == plain.adata.obs["perturbation"].tolist()


def test_the_digest_knows_contexts_and_batches(tmp_path):
    how = {**HOW, "context_column": "line"}
    digests = {load_dataset(str(file(tmp_path, brought())), **HOW).digest}
    for shift in range(2):
        cells = in_lines(brought(), lambda number, shift=shift: f"L{(number + shift) % 2}")
        digests.add(load_dataset(str(file(tmp_path / str(shift), cells)), **how).digest)
    assert len(digests) == 3


def test_prepared_files_of_cards_without_contexts_keep_their_names():
    """As they were written before there were contexts."""
    card = load_card("norman19")
    kept = {"name", "title", "licence", "citation", "notes", "url", "local_file", "member", "sha256"}
    said = {key: value for key, value in card.model_dump().items() if key not in kept}
    del said["context_column"], said["batch_column"]
    recipe = json.dumps([said, "sum", 1, card.genes and None, None], sort_keys=True)
    assert prepared_file(card, "sum").stem.endswith(hashlib.sha256(recipe.encode()).hexdigest()[:16])


def test_a_context_without_control_cells_is_refused_with_what_leaves_it_out(tmp_path):
    cells = in_lines(brought(), lambda number: "K562" if number < 40 else "RPE1")
    path = file(tmp_path, cells)
    with pytest.raises(
        BenchmarkError, match=r"1 of 2 contexts .* have no control cells, such as 'RPE1'"
    ) as said:
        load_dataset(str(path), **HOW, context_column="line")
    assert "--drop line=RPE1" in str(said.value)
    kept = load_dataset(str(path), **HOW, context_column="line", drop=("line=RPE1",))
    assert kept.adata.n_obs == 40


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (lambda number: "A::B" if number % 2 else "L", "Context 'A::B' has '::' in it"),
        (lambda number: " " if number == 3 else "L", "Column 'line' of obs is empty for 1 cells"),
    ],
)
def test_contexts_that_no_label_can_hold_are_refused(tmp_path, rule, sentence):
    with pytest.raises(BenchmarkError, match=sentence):
        load_dataset(str(file(tmp_path, in_lines(brought(), rule))), **HOW, context_column="line")


def test_conditions_with_a_single_cell_are_left_out_and_not_their_perturbations(tmp_path):
    cells = in_lines(brought(), lambda number: "L1" if number in (0, 1, 20) else "L0")
    path = file(tmp_path, cells)
    with pytest.raises(BenchmarkError, match=r"1 perturbations .* fewer than 2 cells, such as 'L1::G0'"):
        load_dataset(str(path), **HOW, context_column="line")
    obs = load_dataset(str(path), **HOW, context_column="line", min_cells=2).adata.obs
    assert "L1::G0" not in labels_of(obs)
    assert "L0::G0" in labels_of(obs)


def test_contexts_share_a_network_and_differ_in_strengths_edges_and_base_expression():
    cells, truths = simulate_contexts(SMALL)
    shared, one, other = (truths[name].network for name in ("", "C1", "C2"))
    assert set(cells.obs["context"]) == {"C1", "C2"}
    assert (one.regulator == shared.regulator).all()
    kept = np.mean(one.target == shared.target)
    assert 0.7 < kept < 0.98
    assert (one.target != other.target).any()
    assert not np.allclose(one.strength, other.strength)
    control = truths["C1"].mean[0], truths["C2"].mean[0]
    assert np.abs(control[0] - control[1]).mean() > 0.2
    assert truths[""].perturbations[0] == "C1::control"
    assert np.array_equal(truths[""].mean, np.concatenate([truths[name].mean for name in ("C1", "C2")]))


def test_no_gene_regulates_itself_or_another_twice_after_rewiring():
    network = rewired(cell_of(SMALL).network, 0.9, np.random.default_rng(0))
    edges = list(zip(network.regulator.tolist(), network.target.tolist(), strict=True))
    assert len(set(edges)) == len(edges)
    assert all(regulator != target for regulator, target in edges)


def test_cells_have_the_noiseless_mean_of_their_context():
    """Pooled control cells, whose batches multiply genes by nothing here."""
    config = SMALL.model_copy(update={"batch_spread": 0.0, "n_controls": 4000, "escape": 0.0})
    cells, truths = simulate_contexts(config)
    for name in ("C1", "C2"):
        rows = ((cells.obs["context"] == name) & (cells.obs["perturbation"] == "control")).to_numpy()
        counts = cells.X[rows]
        shares = np.asarray((counts.multiply(1 / counts.sum(axis=1))).mean(axis=0)).ravel()
        off = np.log1p(1e4 * shares) - truths[name].mean[0]
        assert np.abs(off).mean() < 0.03


def test_the_embedded_screen_has_contexts_batches_and_a_truth_for_each():
    dataset, card = load_dataset("simulated_contexts"), load_card("simulated_contexts")
    obs = dataset.adata.obs
    assert contexts_of(obs) == ["C1", "C2", "C3"]
    assert obs["batch"].nunique() == 6
    assert content_digest(dataset.adata) == dataset.digest
    assert set(embedded.load_truth(card, "C2").perturbations) == set(obs["perturbation"])
    with pytest.raises(BenchmarkError, match="no context 'C9'"):
        embedded.load_truth(card, "C9")


def test_control_cells_that_were_swapped_between_contexts_are_said(tmp_path, caplog):
    cells, _ = simulate_contexts(SMALL)
    how = {"perturbation_column": "perturbation", "control_label": "control", "expression": "counts"}
    load_dataset(str(file(tmp_path / "right", cells)), **how, context_column="context")
    assert "mixed up" not in caplog.text
    swapped = {"C1": "C2", "C2": "C1"}
    control = cells.obs["perturbation"] == "control"
    cells.obs["context"] = cells.obs["context"].where(~control, cells.obs["context"].map(swapped))
    load_dataset(str(file(tmp_path / "wrong", cells)), **how, context_column="context")
    for one, other in swapped.items():
        assert f"the cells of context '{one}' are nearer to the control cells of '{other}'" in caplog.text


def test_a_method_may_refuse_cells_of_several_contexts():
    obs = in_lines(brought()).obs.rename(columns={"line": "context"})
    require_one(obs.assign(context="L0"), "It")
    require_one(obs.drop(columns="context"), "It")
    with pytest.raises(BenchmarkError, match=r"^It compares .* of 2 \(L0, L1\); use data of one context"):
        require_one(obs, "It")
