"""What configurations are judged by: perturbations of which they have seen nothing, and no test cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS, headline_metrics
from benchmark.perturbation import Perturbation
from benchmark.registry import load_method
from benchmark.splits import list_splits
from benchmark.testing.case import tiny_panel
from benchmark.tuning.inner import inner_split
from benchmark.tuning.objective import BASELINES, Objective, baseline_scores, mean_rank
from benchmark.tuning.problem import Problem
from methods.linear import Linear
from methods.train_mean import TrainMean

HEADLINE = headline_metrics()
BETTER = {name: 1 if METRICS[name].spec.higher_is_better else -1 for name in HEADLINE}


def scores(*values: float) -> pd.DataFrame:
    """The same goodness in every headline metric: greater is better, one value for each perturbation."""
    return pd.DataFrame({name: [BETTER[name] * value for value in values] for name in HEADLINE}, dtype=float)


def baselines(*rows: list[float]) -> dict:
    """The same for some baselines."""
    return {
        f"baseline {row}": {name: [BETTER[name] * value for value in values] for name in HEADLINE}
        for row, values in enumerate(rows)
    }


def plain_rank(own: pd.DataFrame, others: dict) -> tuple[float, int]:
    """The mean rank by counting, and how many pairs it is over."""
    ranks = []
    for name in HEADLINE:
        for place, value in enumerate(own[name]):
            rivals = [of[name][place] for of in others.values()]
            better = [BETTER[name] * (rival - value) for rival in rivals]
            ranks.append(1 + sum(each > 0 for each in better) + sum(each == 0 for each in better) / 2)
    return float(np.mean(ranks)), len(ranks)


def test_the_mean_rank_by_hand():
    """One perturbation is won, of the other one baseline is better and one the same: ranks 1 and 2.5."""
    found = mean_rank(scores(3.0, 1.0), baselines([1.0, 1.0], [2.0, 4.0]))
    # Standings: (3 - 1.5) / 0.5 = 3 -> 3/4; (1 - 2.5) / 1.5 = -1 -> -1/2. Eight pairs.
    assert found == pytest.approx((1 + 2.5) / 2 - (3 / 4 - 1 / 2) / 2 / 32)


def test_an_undefined_score_is_the_worst():
    nan = float("nan")
    term = 1 / 16  # of a perturbation in four metrics, at most
    assert mean_rank(scores(nan), baselines([1.0], [2.0])) == 3 + term
    assert mean_rank(scores(0.0), baselines([nan], [2.0])) == 2 + term * 2 / 3
    assert mean_rank(scores(nan), baselines([nan], [2.0])) == 2.5 + term


@pytest.mark.filterwarnings("error")
def test_a_perturbation_of_which_no_baseline_is_defined_does_not_count():
    nan = float("nan")
    alone = mean_rank(scores(3.0), baselines([1.0], [2.0]))
    assert mean_rank(scores(3.0, 1.0), baselines([1.0, nan], [2.0, nan])) == alone
    assert np.isnan(mean_rank(scores(1.0), baselines([nan])))


VALUES = st.lists(st.integers(0, 6).map(float), min_size=3, max_size=3)


@given(VALUES, st.lists(VALUES, min_size=1, max_size=5))
def test_the_term_that_decides_between_equal_ranks_decides_nothing_else(own, others):
    value = mean_rank(scores(*own), baselines(*others))
    rank, pairs = plain_rank(scores(*own), baselines(*others))
    least_difference = 0.5 / pairs
    assert abs(value - rank) < least_difference / 2


@given(VALUES, st.lists(VALUES, min_size=1, max_size=5), st.integers(0, 2), st.floats(0.01, 5))
def test_a_better_score_is_always_a_better_value(own, others, place, more):
    improved = [value + more * (index == place) for index, value in enumerate(own)]
    assert mean_rank(scores(*improved), baselines(*others)) < mean_rank(scores(*own), baselines(*others))


def test_another_objective_is_the_mean_of_a_metric_in_its_direction():
    table = pd.DataFrame({"mse": [1.0, 3.0], "pearson": [0.5, np.nan]})
    assert Objective.check("mse", TrainMean).value(table) == 2.0
    assert Objective.check("mse", TrainMean).direction == "minimize"
    assert Objective.check("pearson", TrainMean).value(table) == 0.5
    assert Objective.check("pearson", TrainMean).direction == "maximize"
    assert Objective.check("mean_rank", TrainMean).direction == "minimize"


def test_an_objective_that_is_nowhere_defined_is_no_value():
    with pytest.raises(BenchmarkError, match="'pearson' is defined for none of the 2 validation"):
        Objective.check("pearson", TrainMean).value(pd.DataFrame({"pearson": [np.nan, np.nan]}))


@pytest.mark.parametrize(
    "split", list_splits(), ids=lambda split: f"{split.dataset} {split.scheme}-{split.seed}"
)
def test_configurations_are_judged_on_the_validation_part_and_the_test_part_is_nowhere(split):
    inner = inner_split(split)
    assert inner.test == split.validation
    assert {*inner.train, *inner.validation} <= set(split.train)
    assert set(inner.train).isdisjoint(inner.validation)
    assert inner.digest == inner.content_digest()
    assert len(inner.train) > len(split.train) / 2


@pytest.mark.parametrize("seed", range(5))
def test_genes_that_are_to_be_unseen_stay_so(seed):
    split = next(
        each
        for each in list_splits()
        if (each.dataset, each.scheme, each.seed) == ("simulated", "singles", seed)
    )
    inner = inner_split(split)
    shown = {gene for label in inner.train for gene in Perturbation.parse(label).genes}
    assert shown.isdisjoint({*inner.validation, *inner.test})


def test_test_cells_change_nothing():
    """They are not even there."""
    panel = tiny_panel(0, 40)
    other = panel.with_other_test_cells()
    one, two = (Problem.of(each.dataset, each.split) for each in (panel, other))
    assert set(one.dataset.adata.obs["perturbation"]).isdisjoint(panel.split.test)
    assert len(panel.dataset.adata) != len(other.dataset.adata)
    pd.testing.assert_frame_equal(one.scores(Linear()), two.scores(Linear()), check_exact=True)
    assert baseline_scores(one, 0) == baseline_scores(two, 0)


class Remembers(TrainMean):
    """Answers what it was given, the train mean elsewhere."""

    name = "remembers"

    def fit(self, train, validation):
        from methods._pseudobulk import mean_changes

        changes = mean_changes(train, validation)
        self.known_ = dict(zip(changes.perturbations, changes.values, strict=True))
        return super().fit(train, validation)

    def shift(self, perturbation):
        return self.known_.get(perturbation, self.shift_)


def test_remembering_what_is_given_gains_nothing():
    """Also not the validation perturbations, from which some methods learn."""
    panel = tiny_panel(0, 40)
    problem = Problem.of(panel.dataset, panel.split)
    remembered = Remembers()
    pd.testing.assert_frame_equal(problem.scores(remembered), problem.scores(TrainMean()), check_exact=True)
    assert {str(perturbation) for perturbation in remembered.known_} <= set(panel.split.train)


def test_the_baselines_are_those_that_people_look_at_first():
    panel = tiny_panel(0, 40)
    problem = Problem.of(panel.dataset, panel.split)
    found = baseline_scores(problem, 0)
    assert tuple(found) == BASELINES
    own = problem.scores(load_method("additive")())
    assert found["additive"]["mse"] == list(own["mse"])
    assert set(found["additive"]) == set(HEADLINE)
