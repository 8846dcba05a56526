"""Baselines that know contexts, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import concat

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._pseudobulk import mean_changes
from methods.additive import Additive
from methods.context_mean import ContextMean
from methods.general import General
from methods.low_rank_contexts import LowRankContexts, LowRankContextsConfig
from methods.no_change import NoChange
from methods.same_elsewhere import SameElsewhere, SameElsewhereConfig
from methods.train_mean import TrainMean
from tests.methods.test_baselines import NOTHING, TRAIN, cells


def lines(**rows):
    """Cells of several contexts, two alike of each mean: context -> label -> mean."""
    parts = []
    for context, means in rows.items():
        part = cells({label: [mean] * 2 for label, mean in means.items()})
        part.obs["context"] = context
        parts.append(part)
    return concat(parts, index_unique="-")


K = {"control": [1.0, 1.0, 1.0], "A": [2.0, 1.0, 1.0], "B": [1.0, 4.0, 1.0]}
R = {"control": [3.0, 3.0, 3.0], "A": [6.0, 3.0, 3.0], "B": [3.0, 4.0, 3.0]}
T = {"control": [2.0, 5.0, 5.0]}
THREE = lines(K=K, R=R, T=T)
NO_CELLS = NOTHING.copy()
NO_CELLS.obs["context"] = []


def mean(method, label):
    (found,) = method.fit(THREE, NO_CELLS).predict_mean([Perturbation.parse(label)])
    return found.tolist()


def test_changes_are_measured_against_the_control_cells_of_their_context():
    """Pooled controls would have the mean 2, and the change of A in K would be 0."""
    changes = mean_changes(THREE)
    assert [str(p) for p in changes.perturbations] == ["A", "B"]
    assert changes.values.tolist() == [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]


@pytest.mark.parametrize(
    ("method", "label", "expected"),
    [
        (NoChange(), "R::A", [3.0, 3.0, 3.0]),
        (TrainMean(), "T::A", [3.0, 6.0, 5.0]),
        (Additive(), "T::A", [4.0, 5.0, 5.0]),
        (General(), "T::A", [3.0, 6.0, 5.0]),
        (General(), "K::A", [2.5, 1.5, 1.0]),
        (ContextMean(), "K::A", [1.5, 2.5, 1.0]),
        (ContextMean(), "R::Z", [4.5, 3.5, 3.0]),
        (SameElsewhere(), "T::A", [4.0, 5.0, 5.0]),
        (SameElsewhere(), "K::B", [1.0, 2.0, 1.0]),
    ],
)
def test_the_mean_of_a_context_is_that_of_its_control_cells_and_a_change(method, label, expected):
    assert mean(method, label) == pytest.approx(expected)


def test_contexts_count_by_how_alike_their_control_cells_are():
    """Squared distances of the controls of T: 33 to those of K, 9 to those of R."""
    weighted = SameElsewhere(SameElsewhereConfig(weights="alike"))
    share = (1 / 33) / (1 / 33 + 1 / 9)
    assert mean(weighted, "T::A") == pytest.approx([2 + share * 1 + (1 - share) * 3, 5.0, 5.0])


def test_what_was_measured_nowhere_else_is_refused():
    method = SameElsewhere().fit(lines(K=K, T=T), NO_CELLS)
    assert method.unsupported(Perturbation.parse("T::A")) is None
    assert "in no other context" in method.unsupported(Perturbation.parse("K::A"))
    of_context = ContextMean().fit(THREE, NO_CELLS)
    assert "nothing was perturbed" in of_context.unsupported(Perturbation.parse("T::A"))


def test_a_context_of_which_no_control_cells_were_given_is_refused():
    method = Additive().fit(THREE, NO_CELLS)
    with pytest.raises(BenchmarkError, match="no control cells of the context 'X'"):
        list(method.predict_mean([Perturbation.parse("X::A")]))


def test_one_context_gives_what_no_context_gives():
    """To the last bit, also where it has a name."""
    named = TRAIN.copy()
    named.obs["context"] = ""
    for one, other in ((Additive(), Additive()), (General(), TrainMean()), (ContextMean(), TrainMean())):
        asked = [Perturbation.parse("A+B"), Perturbation.parse("A")]
        answers = one.fit(named, NO_CELLS).predict_mean(asked)
        due = other.fit(TRAIN, NOTHING).predict_mean(asked)
        for found, expected in zip(answers, due, strict=True):
            assert np.array_equal(found, expected)


def turned(noise: float, shown: int = 12):
    """Random changes on two axes in K, twice as large on the first in R, which lacks the last ones."""
    rng = np.random.default_rng(0)
    genes = [f"G{number}" for number in range(8)]
    axes = np.linalg.qr(rng.normal(size=(8, 2)))[0].T
    coordinates = rng.normal(size=(16, 2))
    parts = []
    for context, scale, number in (("K", [1.0, 1.0], 16), ("R", [2.0, 1.0], shown)):
        means = 10 + (coordinates[:number] * scale) @ axes + noise * rng.normal(size=(number, 8))
        rows = {f"P{row:02d}": [mean.tolist()] * 2 for row, mean in enumerate(means)}
        rows["control"] = [[10.0] * 8] * 2
        part = cells(rows, genes)
        part.obs["context"] = context
        parts.append(part)
    return concat(parts, index_unique="-"), (coordinates[-1] * [2.0, 1.0]) @ axes


def test_what_a_context_makes_of_other_changes_it_makes_of_an_unseen_one():
    train, real = turned(noise=0.0)
    fitted = LowRankContexts(LowRankContextsConfig(rank=2, penalty=1e-6)).fit(train, none_of(train))
    assert fitted.shift(Perturbation.parse("R::P15")) == pytest.approx(real, abs=1e-3)
    chosen = LowRankContexts().fit(train, none_of(train))
    plain = SameElsewhere().fit(train, none_of(train))
    asked = Perturbation.parse("R::P15")
    off, plainly_off = (np.sum((each.shift(asked) - real) ** 2) for each in (chosen, plain))
    assert off < 0.1 * plainly_off


def test_where_a_context_shows_nothing_its_changes_are_those_elsewhere():
    new, _ = turned(noise=0.0, shown=0)
    method, plain = LowRankContexts().fit(new, none_of(new)), SameElsewhere().fit(new, none_of(new))
    asked = Perturbation.parse("R::P03")
    assert np.array_equal(method.shift(asked), plain.shift(asked))
    assert "in no other context" in method.unsupported(Perturbation.parse("K::P03"))


def none_of(train):
    """No cells of the same genes."""
    return train[[]].copy()
