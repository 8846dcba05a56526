"""Claims about the metrics of ranks among the perturbations that are scored together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.evaluation.metrics import METRICS, Panel
from tests.evaluation.metrics.metric_case import panel

PDS = ["pds_l1", "pds_l2", "pds_cosine"]
FAMILY = [name for name, declared in METRICS.items() if declared.spec.family == "rank"]
SEEDS = st.integers(0, 2**32 - 1)
LABELS = [f"P{index}" for index in range(9)]


def drawn(seed: int, genes: int = 25, scale: float = 1.0) -> Panel:
    """Draw a panel whose guesses are the truth plus noise, of targets that are not measured."""
    rng = np.random.default_rng(seed)
    real = rng.normal(size=(len(LABELS), genes))
    guess = real + scale * rng.normal(size=real.shape)
    return panel(dict(zip(LABELS, real, strict=True)), guess)


def changed(before: Panel, real: np.ndarray, predicted: np.ndarray) -> Panel:
    """Give a panel other changes."""
    return replace(before, real=real, predicted=predicted)


def test_the_family_is_the_three_distances_and_the_accuracy_of_centroids() -> None:
    """All are better the higher, and none needs cells."""
    assert [*PDS, "centroid_accuracy"] == FAMILY
    assert all(METRICS[name].spec.best == 1 and METRICS[name].spec.needs == "mean" for name in FAMILY)


@pytest.mark.parametrize("name", ["pds_l1", "pds_l2", "centroid_accuracy"])
def test_ranks_by_hand_with_half_for_a_tie(name: str) -> None:
    """P's guess is Q: Q is nearer than P, and R is as near, so 1.5 of 2; Q's is right; R's is P, the last."""
    scored = panel({"P": [0, 0], "Q": [3, 4], "R": [6, 8]}, [[3, 4], [3, 4], [0, 0]])
    assert METRICS[name](scored).tolist() == [0.25, 1, 0]


def test_l1_and_l2_can_disagree() -> None:
    """(0, 0) is 3 from (3, 0) and 4 from (2, 2) by absolute values, but sqrt(8) from it by Euclid."""
    scored = panel({"P": [3, 0], "Q": [2, 2]}, [[0, 0], [2, 2]])
    assert METRICS["pds_l1"](scored).tolist() == [1, 1]
    assert METRICS["pds_l2"](scored).tolist() == [0, 1]


def test_cosine_ranks_by_angle_and_not_by_strength() -> None:
    """(9, 1) is nearest to (1, 0), (-9, 1) farthest; (0, 5) is as far from both of the others."""
    real = {"P": [1, 0], "Q": [0, 1], "R": [-1, 0]}
    guess = np.array([[9, 1], [0, 5], [9, 1]])
    for strength in (1, 1e-3):
        assert METRICS["pds_cosine"](panel(real, strength * guess)).tolist() == [1, 1, 0]


def test_no_change_has_no_direction_and_scores_half() -> None:
    """As a guess; as a truth it is as far from every guess as what stands at a right angle."""
    real = {"P": [1, 0], "Q": [0, 1], "R": [1, 1]}
    assert METRICS["pds_cosine"](panel(real, np.zeros((3, 2)))).tolist() == [0.5] * 3
    assert METRICS["pds_cosine"](panel({"P": [0, 0], "Q": [0, 1]}, [[0, 3], [3, 0]])).tolist() == [0, 0.5]


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_the_same_guess_for_all_scores_half_on_average(seed: int) -> None:
    """Exactly, whatever the guess: the real responses take all ranks around it, ties or not."""
    scored = drawn(seed)
    rng = np.random.default_rng(seed)
    real = scored.real.round()  # some are as near as others
    for guess in (rng.normal(size=25), real.mean(axis=0), real[3], np.zeros(25)):
        for name in FAMILY:
            found = METRICS[name](changed(scored, real, np.tile(guess, (len(LABELS), 1))))
            assert found.mean() == pytest.approx(0.5)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_ranks_of_scipy_over_distances_written_out_say_the_same(seed: int) -> None:
    """An independent implementation."""
    scored = drawn(seed, scale=2.0)
    pairs = {
        "pds_l1": lambda x, y: np.abs(x - y).sum(),
        "pds_l2": lambda x, y: np.sqrt(((x - y) ** 2).sum()),
        "pds_cosine": lambda x, y: 1 - x @ y / np.sqrt((x @ x) * (y @ y)),
    }
    for name, distance in pairs.items():
        apart = np.array([[distance(x, y) for y in scored.real] for x in scored.predicted])
        ranks = np.diag(stats.rankdata(apart, axis=1)) - 1
        assert METRICS[name](scored) == pytest.approx(1 - ranks / (len(LABELS) - 1))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_axioms(seed: int) -> None:
    """The truth scores 1, scores stay in range, and neither genes nor perturbations have an order."""
    scored = drawn(seed, scale=3.0)
    rng = np.random.default_rng(seed)
    genes, rows = rng.permutation(25), rng.permutation(len(LABELS))
    for name in FAMILY:
        assert METRICS[name](changed(scored, scored.real, scored.real)).tolist() == [1] * len(LABELS)
        found = METRICS[name](scored)
        assert ((found >= 0) & (found <= 1)).all()
        regened = changed(scored, scored.real[:, genes], scored.predicted[:, genes])
        assert METRICS[name](regened) == pytest.approx(found)
        resorted = replace(
            changed(scored, scored.real[rows], scored.predicted[rows]), labels=tuple(np.array(LABELS)[rows])
        )
        assert METRICS[name](resorted) == pytest.approx(found[rows])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_more_noise_of_the_same_kind_is_never_better_by_euclid(seed: int) -> None:
    """On the way from the truth along a straight line others only come nearer than the own one."""
    scored = drawn(seed)
    noise = scored.predicted - scored.real
    walk = [changed(scored, scored.real, scored.real + step * noise) for step in (0, 0.5, 1, 2, 5, 50)]
    for name in ("pds_l2", "centroid_accuracy"):
        assert (np.diff([METRICS[name](guess) for guess in walk], axis=0) <= 0).all()


@pytest.mark.parametrize("name", FAMILY)
def test_more_noise_is_worse_on_average(name: str) -> None:
    """For every distance, over many panels."""
    found = [
        np.mean([METRICS[name](drawn(seed, scale=scale)).mean() for seed in range(20)])
        for scale in (0.2, 2, 5, 200)
    ]
    assert (np.diff(found) < 0).all()
    assert found[-1] == pytest.approx(0.5, abs=0.1)


def test_a_rank_among_one_is_undefined_and_so_is_one_over_no_gene() -> None:
    """Targets that are all the genes leave nothing for the discrimination score."""
    for name in FAMILY:
        assert np.isnan(METRICS[name](panel({"P": [1, 2]}, [[1, 2]]))).all()
    every_gene = panel({"G0": [1, 2], "G1": [2, 1]}, [[1, 2], [2, 1]])
    assert all(np.isnan(METRICS[name](every_gene)).all() for name in PDS)
    assert METRICS["centroid_accuracy"](every_gene).tolist() == [1, 1]


def test_centroid_accuracy_is_pds_l2_where_no_target_is_measured() -> None:
    """And only there."""
    scored = drawn(3, scale=3.0)
    assert METRICS["centroid_accuracy"](scored).tolist() == METRICS["pds_l2"](scored).tolist()
    measured = replace(scored, labels=tuple(f"G{index}" for index in range(len(LABELS))))
    assert METRICS["centroid_accuracy"](measured).tolist() != METRICS["pds_l2"](measured).tolist()


@pytest.mark.parametrize("height", [3.0, 1e6, -1e6])
def test_spiking_the_target_genes_gains_nothing(height: float) -> None:
    """Not the own targets, of singles and doubles; not those of the others either."""
    rng = np.random.default_rng(5)
    labels = ["G0", "G1", "G0+G2", "G3+G4", "G5"]
    own = np.array([[f"G{gene}" in label for gene in range(12)] for label in labels])
    real = rng.normal(0, 0.3, (5, 12)) + 3 * own
    honest = real + rng.normal(0, 1, real.shape) * ~own
    before = panel(dict(zip(labels, real, strict=True)), honest)
    for spiked in (own, own.any(axis=0) & ~own):
        after = panel(dict(zip(labels, real, strict=True)), np.where(spiked, height, honest))
        for name in PDS:
            assert METRICS[name](after).tolist() == METRICS[name](before).tolist()
            assert METRICS[name](before).mean() < 1


def test_who_knows_the_targets_and_nothing_else_fools_centroid_accuracy_alone() -> None:
    """The reason for two metrics: a guess that moves its target and no other gene."""
    rng = np.random.default_rng(6)
    labels = [f"G{gene}" for gene in range(8)]
    real = rng.normal(0, 0.3, (8, 30)) + 3 * np.eye(8, 30)
    scored = panel(dict(zip(labels, real, strict=True)), 3 * np.eye(8, 30))
    assert METRICS["centroid_accuracy"](scored).tolist() == [1] * 8
    for name in PDS:
        assert METRICS[name](scored).mean() == pytest.approx(0.5)
