"""The simulator's network, kinetics and perturbations against hand-computed and independent values."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from benchmark.data.simulator.cell import Cell, draw_cell
from benchmark.data.simulator.kinetics import Kinetics, build_kinetics, limit_feedback
from benchmark.data.simulator.modality import MODALITIES, Efficacy
from benchmark.data.simulator.network import Network, draw_network, target_range
from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation

ONE_CELL = np.zeros(1), np.ones(1)


def chain(strength: float = 2.0, sign: int = 1) -> Network:
    """Gene A regulates gene B."""
    return Network(np.array(["A", "B"]), np.array([0]), np.array([1]), np.array([sign]), np.array([strength]))


def loop(strength: float, back: int) -> Network:
    """Gene A activates gene B, which acts back on A."""
    return Network(
        np.array(["A", "B"]), np.array([0, 1]), np.array([1, 0]), np.array([1, back]), np.full(2, strength)
    )


def kinetics_of(network: Network, hill: float = 2.0) -> Kinetics:
    """Thresholds of 1 and promoters that are active half of the time."""
    return build_kinetics(network, np.ones(network.regulators.size), np.zeros(network.genes.size), hill)


def column(*values: float) -> np.ndarray:
    """One condition."""
    return np.array(values)[:, None]


def test_half_an_activator_gives_the_hand_computed_target() -> None:
    """h falls from 1/2 to 1/5, log-odds to 2 (1/5 - 1/2) = -0.6, F from 0.525 to 0.386627."""
    levels = kinetics_of(chain()).steady_state(column(0.5, 1.0), column(0.0, 0.0))
    assert levels[0, 0] == pytest.approx(0.5)
    assert levels[1, 0] == pytest.approx((0.05 + 0.95 / (1.0 + math.exp(0.6))) / 0.525, abs=1e-9)
    assert levels[1, 0] == pytest.approx(0.736432, abs=1e-6)


def test_the_unperturbed_cell_is_at_one() -> None:
    """Levels are relative to it, so that each of them is 1."""
    cell = draw_cell(60, 15, 2.0, 0.3, np.random.default_rng(0))
    levels = cell.levels(Perturbation(), MODALITIES["knock-out"], *ONE_CELL)
    np.testing.assert_allclose(levels, 1.0, atol=1e-12)


@pytest.mark.parametrize("back", [1, -1])
def test_a_loop_settles_where_a_root_finder_says(back: int) -> None:
    """Positive and negative feedback, A at 0.4 of its production, against Brent's method on y_A."""
    strength = 1.5

    def produced(regulator: float, sign: int) -> float:
        occupancy = regulator**2 / (1.0 + regulator**2)
        return (0.05 + 0.95 / (1.0 + math.exp(-sign * strength * (occupancy - 0.5)))) / 0.525

    root = brentq(lambda y: 0.4 * produced(produced(y, 1), back) - y, 0.0, 2.0, xtol=1e-13)
    levels = kinetics_of(loop(strength, back)).steady_state(column(0.4, 1.0), column(0.0, 0.0))
    assert levels[:, 0] == pytest.approx([root, produced(root, 1)], abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    hill=st.floats(1.0, 4.0),
    modality=st.sampled_from(sorted(MODALITIES)),
    share=st.floats(0.05, 0.5),
)
def test_drawn_networks_reach_a_steady_state_that_satisfies_its_equation(
    seed: int, hill: float, modality: str, share: float
) -> None:
    """y = factor F(y) / F(1) + added, F written out edge by edge; knocked-out genes are at 0."""
    rng = np.random.default_rng(seed)
    cell = draw_cell(40, max(2, round(share * 40)), hill, 0.5, rng)
    network, kinetics = cell.network, cell.kinetics
    factor, added = rng.lognormal(0.0, 0.5, (40, 3)), np.zeros((40, 3))
    times, plus = MODALITIES[modality].act(np.ones(3))
    perturbed = network.regulators[:2]
    factor[perturbed] *= times
    added[perturbed] += plus
    levels = kinetics.steady_state(factor, added)
    log_odds = np.repeat(kinetics.rest[:, None], 3, axis=1)
    for regulator, target, sign, strength in zip(
        network.regulator, network.target, network.sign, network.strength, strict=True
    ):
        half = kinetics.threshold[list(network.regulators).index(regulator)] ** hill
        occupancy = levels[regulator] ** hill / (half + levels[regulator] ** hill)
        log_odds[target] += sign * strength * (occupancy - 1.0 / (half + 1.0))
    activity = (0.05 + 0.95 / (1.0 + np.exp(-log_odds))) / (0.05 + 0.95 / (1.0 + np.exp(-cell_rest(cell))))
    np.testing.assert_allclose(levels, factor * activity + added, rtol=1e-7, atol=1e-8)
    if modality == "knock-out":
        assert np.all(levels[perturbed] == 0.0)


def cell_rest(cell: Cell) -> np.ndarray:
    """Log-odds of the unperturbed promoters as a column."""
    return cell.kinetics.rest[:, None]


def test_levels_that_do_not_settle_are_an_error() -> None:
    """A steep negative loop whose edges were not limited goes round for ever."""
    with pytest.raises(BenchmarkError, match=r"not settled after .* weaken"):
        kinetics_of(loop(60.0, -1), hill=4.0).steady_state(column(0.8, 1.0), column(0.0, 0.0))


def test_limited_feedback_has_a_spectral_radius_below_one() -> None:
    """The gains written out as a dense matrix, its radius from a general eigenvalue solver."""
    for seed in range(5):
        drawn = draw_network(80, 30, np.random.default_rng(seed))
        limited = limit_feedback(drawn, hill=3.0)
        gains = np.zeros((80, 80))
        slope = (math.sqrt(20.0) - 1.0) / (math.sqrt(20.0) + 1.0)
        gains[limited.target, limited.regulator] = limited.strength * 3.0 / 4.0 * slope
        assert np.abs(np.linalg.eigvals(gains)).max() < 0.41
        leaf = ~np.isin(drawn.target, drawn.regulators)
        np.testing.assert_array_equal(drawn.strength[leaf], limited.strength[leaf])


def test_weak_feedback_is_left_alone() -> None:
    """Without loops nothing is weakened."""
    network = chain(strength=50.0)
    assert limit_feedback(network, hill=2.0) is network


def test_two_activators_saturate_a_promoter_and_two_weak_ones_wake_it() -> None:
    """Near its ceiling a gene gains less from both than the sum; near its floor it gains more."""
    network = Network(
        np.array(["A", "B", "C"]), np.array([0, 1]), np.array([2, 2]), np.array([1, 1]), np.full(2, 6.0)
    )

    def changes(rest: float) -> tuple[float, float, float]:
        kinetics = build_kinetics(network, np.ones(2), np.full(3, rest), 2.0)
        factor = np.array([[8.0, 1.0, 8.0], [1.0, 8.0, 8.0], [1.0, 1.0, 1.0]])
        a, b, both = np.log(kinetics.steady_state(factor, np.zeros((3, 3)))[2])
        return a, b, both

    a, b, both = changes(rest=0.0)
    assert a < both < a + b
    a, b, both = changes(rest=-7.0)
    assert both > a + b


@pytest.mark.parametrize("seed", range(3))
def test_degrees_signs_and_edges_of_a_network(seed: int) -> None:
    """Out-degrees 20 to 50 and skewed, in-degrees with hubs, both signs, no self or double edge."""
    network = draw_network(200, 50, np.random.default_rng(seed))
    assert network.regulators.size == 50
    assert not np.any(network.regulator == network.target)
    assert np.unique(network.regulator * 200 + network.target).size == network.target.size
    out_degree = np.bincount(network.regulator, minlength=200)[network.regulators]
    assert out_degree.min() >= 20
    assert out_degree.max() <= 50
    assert np.mean(out_degree < 35) > 0.55
    in_degree = np.bincount(network.target, minlength=200)
    assert in_degree.max() > 3.5 * np.median(in_degree)
    assert np.sum((in_degree > 0) & (in_degree <= 3)) > 20
    assert set(network.sign.tolist()) == {-1, 1}
    assert 0.5 < np.mean(network.sign == 1) < 0.7
    assert np.all(network.strength > 0)


@pytest.mark.parametrize(
    ("n_genes", "expected"), [(20, (2, 5)), (100, (10, 25)), (200, (20, 50)), (5000, (20, 50))]
)
def test_regulons_scale_with_small_panels_only(n_genes: int, expected: tuple[int, int]) -> None:
    """20 to 50 targets from 200 genes upwards, in proportion below."""
    assert target_range(n_genes) == expected
    network = draw_network(n_genes, 5, np.random.default_rng(0))
    out_degree = np.bincount(network.regulator)[network.regulators]
    assert expected[0] <= out_degree.min()
    assert out_degree.max() <= expected[1]


def test_targets_of_a_gene() -> None:
    """The regulated genes by name; none of a gene that regulates nothing."""
    assert chain().targets("A") == ("B",)
    assert chain().targets("B") == ()


@pytest.mark.parametrize(
    ("modality", "sign"), [("knock-out", -1), ("knock-down", -1), ("CRISPRa", 1), ("over-expression", 1)]
)
def test_a_target_with_one_regulator_moves_with_the_sign_of_its_edge(modality: str, sign: int) -> None:
    """Every such gene of a network, for every regulator perturbed, feedback and all."""
    cell = draw_cell(200, 50, 2.0, 0.3, np.random.default_rng(1))
    network = cell.network
    in_degree = np.bincount(network.target, minlength=200)
    seen = 0
    for gene in network.regulators:
        levels = cell.levels(Perturbation((network.genes[gene],)), MODALITIES[modality], *ONE_CELL)[:, 0]
        assert (levels[gene] - 1.0) * sign > 0
        alone = (network.regulator == gene) & (in_degree[network.target] == 1)
        moved = (levels[network.target[alone]] - 1.0) * network.sign[alone] * sign
        assert np.all(moved > 0)
        seen += moved.size
    assert seen >= 5


def test_most_direct_targets_move_with_the_sign_of_their_edge() -> None:
    """Indirect paths turn over a few of them at most."""
    cell = draw_cell(200, 50, 2.0, 0.3, np.random.default_rng(1))
    network = cell.network
    agree = []
    for gene in network.regulators:
        levels = cell.levels(Perturbation((network.genes[gene],)), MODALITIES["knock-out"], *ONE_CELL)[:, 0]
        direct = network.regulator == gene
        agree.append((levels[network.target[direct]] - 1.0) * network.sign[direct] < 0)
    assert np.mean(np.concatenate(agree)) > 0.9


def test_genes_that_no_path_reaches_do_not_move() -> None:
    """Cutting every edge but those of another regulator leaves the rest at exactly 1."""
    cell = draw_cell(60, 15, 2.0, 0.0, np.random.default_rng(2))
    unreached = np.bincount(cell.network.target, minlength=60) == 0
    gene = cell.network.genes[cell.network.regulators[0]]
    unreached[cell.network.regulators[0]] = False
    levels = cell.levels(Perturbation((gene,)), MODALITIES["CRISPRa"], *ONE_CELL)
    assert unreached.any()
    np.testing.assert_array_equal(levels[unreached], 1.0)


def test_a_perturbation_without_efficacy_does_nothing() -> None:
    """Efficacy 0 is a control cell, whatever the modality."""
    cell = draw_cell(60, 15, 2.0, 0.3, np.random.default_rng(3))
    state = np.array([-1.0, 0.7])
    gene = Perturbation((cell.network.genes[cell.network.regulators[0]],))
    for modality in MODALITIES.values():
        treated = cell.proportions(gene, modality, state, np.zeros(2))
        control = cell.proportions(Perturbation(), modality, state, np.ones(2))
        np.testing.assert_array_equal(treated, control)


def test_cell_state_moves_the_programme_and_what_it_regulates() -> None:
    """Proportions of two states differ; without a programme they do not."""
    cell = draw_cell(60, 15, 2.0, 0.5, np.random.default_rng(4))
    states = np.array([-1.0, 1.0])
    low, high = cell.proportions(Perturbation(), MODALITIES["CRISPRa"], states, np.zeros(2))
    assert np.abs(np.log(high / low)).max() > 0.2
    plain = replace(cell, programme=np.zeros(60))
    low, high = plain.proportions(Perturbation(), MODALITIES["CRISPRa"], states, np.zeros(2))
    np.testing.assert_array_equal(low, high)


def test_efficacy_nodes_integrate_moments_of_the_beta_distribution() -> None:
    """Mean and second moment of Beta(8m, 8 - 8m) in closed form, times the share that does not escape."""
    value, weight = Efficacy(mean=0.7, escape=0.1, graded=True).nodes(8)
    alpha = 8 * 0.7
    assert weight.sum() == pytest.approx(1.0)
    assert weight @ value == pytest.approx(0.9 * 0.7)
    assert weight @ value**2 == pytest.approx(0.9 * alpha * (alpha + 1) / (8 * 9))


def test_drawn_efficacy_has_the_moments_of_its_nodes() -> None:
    """Escaped cells included; a knock-out is all or nothing."""
    graded = Efficacy(mean=0.7, escape=0.1, graded=True)
    drawn = graded.draw(40_000, np.random.default_rng(0))
    value, weight = graded.nodes(8)
    assert drawn.mean() == pytest.approx(weight @ value, abs=0.005)
    assert (drawn**2).mean() == pytest.approx(weight @ value**2, abs=0.005)
    knock_out = Efficacy(mean=0.7, escape=0.1, graded=False)
    assert set(knock_out.draw(1000, np.random.default_rng(0)).tolist()) == {0.0, 1.0}
    assert [part.tolist() for part in knock_out.nodes(8)] == [[0.0, 1.0], [0.1, 0.9]]
