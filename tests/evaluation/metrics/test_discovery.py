"""Claims about the metrics of discovery, on panels whose lists can be put in order by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.metrics.discovery import FEWEST_DOUBLES, Lists
from tests.evaluation.metrics.metric_case import evaluate, panel

NAN = float("nan")
DOUBLES = ("synergy_hit_auprc", "buffering_hit_auprc", "epistasis_hit_auprc")


def one_gene(real: list[float], predicted: list[float], de: str):
    """Make a panel in which one gene, no target, is asked about; its perturbations are A, B and so on."""
    labels = [chr(ord("A") + index) for index in range(len(real))]
    changes = dict(zip(labels, ([value] for value in real), strict=True))
    return panel(changes, [[value] for value in predicted], de=list(de))


def test_a_hit_scores_the_share_of_hits_down_to_its_place_less_that_of_all() -> None:
    """Order A C B D; A and B rise: shares 1/1 and 2/3, of all 1/2: (1 - 1/2) / (1/2) and (1/6) / (1/2)."""
    of = one_gene([2, 1, 0, 0], [4, 2, 3, 1], "xx..")
    assert METRICS["hit_auprc"](of) == pytest.approx([1, 1 / 3, NAN, NAN], nan_ok=True)


def test_a_gene_that_falls_asks_for_those_that_lower_it() -> None:
    """A raises the gene, D lowers it; both are first in the list of their direction."""
    of = one_gene([2, 0, 0, -2], [4, 2, 3, 1], "x..x")
    assert METRICS["hit_auprc"](of) == pytest.approx([1, NAN, NAN, 1], nan_ok=True)


def test_enrichment_is_how_much_oftener_than_chance_a_hit_is_first() -> None:
    """Of four perturbations one is made: A, which is 4 / 1 as often as chance; B, the other hit, is not."""
    of = one_gene([2, 1, 0, 0], [4, 2, 3, 1], "xx..")
    assert METRICS["hit_enrichment_5"](of) == pytest.approx([4, 0, NAN, NAN], nan_ok=True)


def test_two_of_twenty_one_are_made_and_ties_share_the_last_place() -> None:
    """21 perturbations, k = 2: one is first alone, four share the second place, so each has 1/4 of 21 / 2."""
    real, predicted = np.zeros(21), np.zeros(21)
    real[:3], predicted[0], predicted[1:5] = 1, 9, 5
    found = METRICS["hit_enrichment_5"](one_gene(list(real), list(predicted), "xxx" + "." * 18))
    assert found[:3] == pytest.approx([21 / 2, 21 / 8, 21 / 8])


def test_who_says_the_same_of_all_perturbations_scores_chance_exactly() -> None:
    """What the train mean does, also where the same mean was reached with other rounding."""
    rng = np.random.default_rng(0)
    real = {f"P{index}": rng.normal(size=30) for index in range(20)}
    same = rng.normal(size=30) + rng.normal(size=(20, 30)) * 1e-8
    marks = ["".join(rng.choice(["x", "."], 30, p=[0.2, 0.8])) for _ in real]
    of = panel(real, same, de=marks)
    assert np.nanmax(np.abs(METRICS["hit_auprc"](of))) == 0
    assert METRICS["hit_enrichment_5"](of) == pytest.approx(np.ones(20))


def test_the_truth_scores_one() -> None:
    rng = np.random.default_rng(1)
    real = {f"P{index}": rng.normal(size=30) for index in range(20)}
    marks = ["".join("x" if abs(value) > 1.2 else "." for value in change) for change in real.values()]
    found = METRICS["hit_auprc"](panel(real, list(real.values()), de=marks))
    assert found == pytest.approx(np.ones(20))


def test_lists_of_many_hits_and_own_targets_are_not_asked_about() -> None:
    """Three of four are hits; and the one that raises G0 is its own target."""
    assert np.isnan(METRICS["hit_auprc"](one_gene([1, 1, 1, 0], [1, 2, 3, 4], "xxx."))).all()
    own = panel({"G0": [1.0], "B": [0.0], "C": [0.0]}, [[3.0], [2.0], [1.0]], de=["x", ".", "."])
    assert np.isnan(METRICS["hit_auprc"](own)).all()


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_mean_over_hits_is_the_average_precision_of_scikit_learn(levels: int) -> None:
    """With many ties and with few."""
    rng = np.random.default_rng(levels)
    hits = rng.random((25, 40)) < 0.3
    scores = rng.integers(levels, size=hits.shape).astype(float)
    found = Lists.of(hits, scores, np.ones(hits.shape, dtype=bool)).adjusted_precision()
    for column in np.flatnonzero(hits.any(axis=0)):
        chance = hits[:, column].mean()
        expected = (average_precision_score(hits[:, column], scores[:, column]) - chance) / (1 - chance)
        assert found[hits[:, column], column].mean() == pytest.approx(expected)


def doubles(real: list[list[float]], predicted: list[list[float]]):
    changes = {f"A+{chr(ord('B') + index)}": [0.0] for index in range(len(real))}
    return panel(changes, [[0.0]] * len(real), shares=[real, predicted])


def test_each_kind_of_interaction_is_found_where_it_is_predicted() -> None:
    """Of eight doubles two are hits: 0 and 1 synergy, 2 and 3 buffering, 4 and 5 epistasis; all foreseen."""
    shares = [[3, 3], [2, 2], [0.2, 0.2], [0.3, 0.3], [1, 0.01], [0.02, 1], [1, 1], [1, 0.9]]
    for name, hits in zip(DOUBLES, ([0, 1], [2, 3], [4, 5]), strict=True):
        found = METRICS[name](doubles(shares, shares))
        assert np.flatnonzero(~np.isnan(found)).tolist() == hits
        assert found[hits] == pytest.approx([1, 1])


def test_a_double_that_is_found_late_scores_less() -> None:
    """Synergy is 0 and 1; the prediction puts 0 first and 1 last: 1/1 and 2/8, of all 2/8."""
    shares = [[3, 3], [2, 2], *([[1, 1]] * 6)]
    predicted = [[3, 3], [0.5, 0.5], *([[1, 1]] * 6)]
    assert METRICS["synergy_hit_auprc"](doubles(shares, predicted))[:2] == pytest.approx([1, 0])


@pytest.mark.parametrize("name", DOUBLES)
def test_addition_says_nothing_of_interactions(name: str) -> None:
    """Its shares are 1 and 1 in every double, up to rounding."""
    rng = np.random.default_rng(2)
    added = 1 + 1e-9 * rng.normal(size=(12, 2))
    found = METRICS[name](doubles(rng.uniform(0, 2, (12, 2)).tolist(), added.tolist()))
    assert np.nanmax(np.abs(found)) == 0


@pytest.mark.parametrize("name", DOUBLES)
def test_few_doubles_have_no_quarter(name: str) -> None:
    few = [[1.0, 1.0 + index] for index in range(FEWEST_DOUBLES - 1)]
    assert np.isnan(METRICS[name](doubles(few, few))).all()


def test_cells_that_rise_where_they_are_said_to_are_found() -> None:
    """From cells to the value: of 20 perturbations two raise a gene each, and the prediction knows."""
    rng = np.random.default_rng(3)

    def cells(raised: int | None) -> np.ndarray:
        values = rng.uniform(0.5, 1.5, (30, 20)).astype(np.float32)
        if raised is not None:
            values[:, raised] += 1
        return values

    raised = [0, 1, *([None] * 18)]
    real = {f"P{index}": cells(gene) for index, gene in enumerate(raised)}
    predicted = {f"P{index}": cells(gene) for index, gene in enumerate(raised)}
    found = evaluate(cells(None), real, predicted)
    assert found.loc[["P0", "P1"], "hit_enrichment_5"].tolist() == [20, 20]
