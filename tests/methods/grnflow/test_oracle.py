"""The oracle's latents against the simulator's own formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from benchmark.data.cards import load_card
from benchmark.data.simulator import SimulatorConfig, embedded, simulate
from benchmark.data.simulator.kinetics import LEAK
from benchmark.data.simulator.modality import MODALITIES
from benchmark.data.simulator.simulate import cell_of
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._grnflow.direct import DIRECT
from methods._grnflow.oracle import AXES, principal_axes, site_changes, true_edges, true_regulation
from methods.grnflow_sparse_pca import GRNFlowSparsePCA
from tests.methods.grnflow.grnflow_case import fitted, new, recorded, training_cells

SURE = {"modality": "knock-out", "escape": 0.0, "state_strength": 0.0}
"""Every cell of a perturbation is the same: nothing is averaged."""


@pytest.fixture
def truth(simulated):
    return embedded.load_truth(load_card("simulated"))


@pytest.mark.slow
def test_the_cell_is_the_one_that_cells_were_simulated_from(truth):
    """The same edges and strengths as in the file of the truth."""
    network = cell_of(SimulatorConfig()).network
    for name, values in vars(truth.network).items():
        np.testing.assert_array_equal(getattr(network, name), values)


def test_summed_regulation_is_what_moves_production_by_the_formula():
    """Production is leak + (1 - leak) / (1 + exp(-(rest + change))), over that at rest: a knock-out."""
    config = SimulatorConfig(n_genes=30, n_singles=4, n_doubles=2, **SURE)
    cell = cell_of(config)
    label = str(next(iter(simulate(config)[1].perturbations[1:])))
    changes = site_changes(config, cell, [label])
    log_odds = cell.kinetics.weights @ changes[0]
    levels = cell.levels(Perturbation.parse(label), MODALITIES["knock-out"], np.zeros(1), np.ones(1))
    rest = cell.kinetics.rest
    activity, at_rest = (LEAK + (1 - LEAK) * expit(rest + change) for change in (log_odds, 0))
    others = cell.network.genes != label
    assert levels[~others] == 0
    assert np.abs(log_odds).max() > 0.1
    np.testing.assert_allclose((activity / at_rest)[others], levels[others, 0], rtol=1e-8)


def test_a_knock_out_takes_the_sites_of_its_gene_by_hand():
    """A regulator that nothing regulates falls from 1 to 0: its sites from 1 / (K^n + 1) to none."""
    config = SimulatorConfig(n_genes=30, n_singles=4, n_doubles=2, **SURE)
    cell = cell_of(config)
    regulators, kinetics = cell.network.regulators, cell.kinetics
    for column, gene in enumerate(cell.network.genes[regulators]):
        change = site_changes(config, cell, [str(gene)])[0, column]
        assert change == pytest.approx(-1 / (kinetics.threshold[column] ** config.hill + 1))


def test_cells_that_escape_change_nothing():
    """Half as many changed cells make half the change."""
    settings = {**SURE, "n_genes": 30, "n_singles": 4, "n_doubles": 2}
    sure, half = SimulatorConfig(**settings), SimulatorConfig(**{**settings, "escape": 0.5})
    label = str(cell_of(sure).network.genes[cell_of(sure).network.regulators[0]])
    whole, part = (site_changes(config, cell_of(config), [label]) for config in (sure, half))
    np.testing.assert_allclose(part, whole / 2, atol=1e-12)


def test_edges_add_up_to_the_summed_regulation_on_all_axes():
    """With all axes nothing is lost: rows times axes, turned back, are the activities of edges."""
    config = SimulatorConfig(n_genes=30, n_singles=4, n_doubles=2, **SURE)
    cell = cell_of(config)
    changes = site_changes(config, cell, [str(gene) for gene in cell.network.genes[cell.network.regulators]])
    weights = cell.kinetics.weights
    axes = principal_axes(weights, changes, most=1000)
    assert axes.shape == (changes.shape[1], changes.shape[1])
    for change in changes:
        activity = weights.toarray() * change
        np.testing.assert_allclose(activity @ axes @ axes.T, activity, atol=1e-10)
        np.testing.assert_allclose(activity.sum(1), weights @ change, atol=1e-10)


def test_axes_are_the_singular_vectors_of_all_edges_of_all_perturbations():
    rng = np.random.default_rng(0)
    cell = cell_of(SimulatorConfig(n_genes=40, n_singles=4, n_doubles=2))
    weights = cell.kinetics.weights
    changes = rng.standard_normal((5, weights.shape[1]))
    rows = (weights.toarray() * changes[:, None]).reshape(-1, weights.shape[1])
    _, _, expected = np.linalg.svd(rows, full_matrices=False)
    found = principal_axes(weights, changes, most=3)
    np.testing.assert_allclose(np.abs(expected[:3] @ found), np.eye(3), atol=1e-8)
    assert (found.max(0) == np.abs(found).max(0)).all()


def test_latents_of_simulated_are_in_the_order_of_the_panel_that_is_asked(truth):
    genes, labels = truth.network.genes.tolist(), truth.perturbations[[1, 5, 100]].tolist()
    regulation, edges = true_regulation(genes, labels), true_edges(genes, labels)
    assert regulation.shape == (3, 200, 1)
    assert edges.shape == (3, 200, AXES)
    np.testing.assert_allclose(true_regulation(genes[50:20:-1], labels[1:]), regulation[1:, 50:20:-1])
    targets = np.isin(genes, truth.network.targets(labels[0]))
    assert (np.abs(regulation[0, targets]) > 1e-6).all()
    regulated = np.zeros(200, dtype=bool)
    regulated[truth.network.target] = True
    assert not regulation[:, ~regulated].any()
    assert not edges[:, ~regulated].any()


def test_only_training_perturbations_are_looked_up(truth, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "methods._grnflow.oracle._sites",
        lambda config, cell, perturbation: asked.append(str(perturbation)) or np.zeros(50),
    )
    labels = truth.perturbations[[3, 70]].tolist()
    true_regulation(truth.network.genes.tolist(), labels)
    assert asked == ["control", *labels]


@pytest.mark.parametrize(("of", "width"), [("regulation", 1), ("edges", AXES)])
def test_a_flow_learns_from_the_truth(truth, of, width):
    """On cells that are named as those of the simulated data set, in the sizes of the tests."""
    train = training_cells()
    names = dict(zip(["A", "B", "G1", "G2"], truth.perturbations[1:5], strict=True))
    pairs = {label: "+".join(sorted(names[gene] for gene in label.split("+"))) for label in ("A+B", "A+G1")}
    known = [label for label in pairs.values() if label in set(truth.perturbations)]
    kept = {**names, **{old: new for old, new in pairs.items() if new in known}, "control": "control"}
    train = train[train.obs["perturbation"].isin(list(kept))].copy()
    train.obs["perturbation"] = train.obs["perturbation"].map(kept).astype(str)
    train.var_names = truth.network.genes[:20]
    method = new(GRNFlowSparsePCA, attention_source="oracle", oracle_of=of)
    method.fit(train, train[:0].copy())
    assert method.shape_.latent == width
    count = method.parameter_count(method.config, 20, 4)
    built = sum(part.numel() for part in method.flow_.parameters())
    outside = len(set(names.values()) - set(train.var_names))
    assert count == (built - outside * method.config.width if of == "regulation" else None)


@pytest.mark.parametrize("of", ["regulation", "edges"])
def test_data_without_truth_are_refused_before_anything_is_trained(simulated, of):
    with recorded() as seen, pytest.raises(BenchmarkError) as caught:
        fitted(GRNFlowSparsePCA, attention_source="oracle", oracle_of=of)
    assert str(caught.value) == (
        "The attention source 'oracle' knows the truth of simulated data sets alone, and these cells (20 "
        "genes such as 'G0', 6 perturbations such as 'A') are of none of those that have a card; use it with "
        "--dataset simulated, or choose another attention_source."
    )
    assert not seen.totals


def test_cells_that_may_be_of_two_simulations_are_refused(truth, monkeypatch):
    """Of the same network and other cells: which truth is theirs cannot be said."""
    card = load_card("simulated")
    other = card.model_copy(update={"name": "deeper", "simulator": {"depth": 5000}})
    monkeypatch.setattr("methods._grnflow.oracle.list_cards", lambda: [card, other])
    labels = truth.perturbations[[3, 70]].tolist()
    with pytest.raises(
        BenchmarkError, match=r"are of several of those \(simulated, deeper\) that have a card"
    ):
        true_regulation(truth.network.genes.tolist(), labels)


def test_every_form_that_can_be_named_is_there():
    field = GRNFlowSparsePCA.Config.model_fields["oracle_of"]
    config = {of: new(GRNFlowSparsePCA, oracle_of=of).config for of in field.annotation.__args__}
    assert {of: DIRECT["oracle"].width(each, 4) for of, each in config.items()} == {
        "regulation": 1,
        "edges": None,
    }
