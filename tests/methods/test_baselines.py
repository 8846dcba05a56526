"""The simple baselines against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from methods._pseudobulk import mean_changes
from methods.additive import Additive
from methods.linear import Linear
from methods.main_effects import PENALTIES, MainEffects, MainEffectsConfig
from methods.no_change import NoChange
from methods.train_mean import TrainMean

CONTROL = [[1.0, 2.0, 4.0], [3.0, 2.0, 4.0]]


def cells(rows: dict[str, list[list[float]]], genes=("A", "B", "C")) -> AnnData:
    """Cells of given expression per label."""
    labels = [label for label, members in rows.items() for _ in members]
    values = np.array([cell for members in rows.values() for cell in members], dtype=np.float32)
    return AnnData(
        sp.csr_matrix(values.reshape(-1, len(genes))),
        obs=pd.DataFrame({"perturbation": labels}, index=[str(index) for index in range(len(labels))]),
        var=pd.DataFrame(index=list(genes)),
    )


TRAIN = cells(
    {"control": CONTROL, "A": [[5.0, 2.0, 4.0]] * 2, "B": [[2.0, 1.0, 4.0]] * 2, "A+B": [[5.0, 1.0, 7.0]] * 2}
)
NOTHING = cells({})


def predict(method, label: str) -> np.ndarray:
    """Predict one perturbation from the two control cells."""
    (answer,) = method.predict(cells({"control": CONTROL}), [Perturbation.parse(label)])
    return answer


def test_mean_changes_are_means_minus_the_control_mean():
    changes = mean_changes(TRAIN)
    assert [str(p) for p in changes.perturbations] == ["A", "A+B", "B"]
    np.testing.assert_allclose(changes.values, [[3, 0, 0], [3, -1, 3], [0, -1, 0]])
    np.testing.assert_allclose(changes.control_mean, [2, 2, 4])


def test_no_change_has_the_mean_of_all_control_cells_whichever_are_given():
    method = NoChange().fit(TRAIN, NOTHING)
    np.testing.assert_array_equal(predict(method, "A+B"), CONTROL)
    (answer,) = method.predict(cells({"control": [[9.0, 0.0, 4.0]] * 2}), [Perturbation(("A",))])
    np.testing.assert_allclose(answer.mean(axis=0), np.mean(CONTROL, axis=0), atol=1e-6)


def test_train_mean_adds_the_mean_over_perturbations_each_counted_once():
    answer = predict(TrainMean().fit(TRAIN, NOTHING), "C")
    np.testing.assert_allclose(answer, np.array(CONTROL) + [2, -2 / 3, 1], rtol=1e-6)


def test_additive_adds_the_single_shifts():
    answer = predict(Additive().fit(TRAIN, NOTHING), "A+B")
    np.testing.assert_allclose(answer, np.array(CONTROL) + [3, -1, 0])


def test_additive_gives_an_unseen_gene_the_mean_shift_of_the_singles():
    answer = predict(Additive().fit(TRAIN, NOTHING), "A+Z")
    np.testing.assert_allclose(answer, np.array(CONTROL) + [3 + 1.5, -0.5, 0])


def test_with_one_perturbation_additive_is_control_plus_mean_shift():
    one = cells({"control": CONTROL, "A": [[5.0, 2.0, 4.0]] * 2})
    np.testing.assert_allclose(predict(Additive().fit(one, NOTHING), "A"), np.array(CONTROL) + [3, 0, 0])


def test_means_stop_at_zero():
    """A and B each take 2 away, of 2 that there are; cutting cells at 0 leaves the mean where it was."""
    down = cells({"control": CONTROL, "A": [[0.0, 0.0, 4.0]] * 2, "B": [[0.0, 1.0, 4.0]] * 2})
    method = Additive().fit(down, NOTHING)
    np.testing.assert_allclose(predict(method, "A+B").mean(axis=0), [0, 0, 4])
    np.testing.assert_allclose(predict(method, "B").mean(axis=0), [0, 1, 4])


def test_main_effects_without_penalty_solve_the_normal_equations():
    """Effects of A and B and an intercept fit three perturbations exactly."""
    method = MainEffects(MainEffectsConfig(penalty=0.0)).fit(TRAIN, NOTHING)
    np.testing.assert_allclose(predict(method, "A+B").mean(axis=0), [5, 1, 7], atol=1e-4)
    np.testing.assert_allclose(predict(method, "A").mean(axis=0), [5, 2, 4], atol=1e-4)


def test_main_effects_of_an_unknown_gene_are_none():
    """Without known genes only the intercept is left."""
    method = MainEffects(MainEffectsConfig(penalty=1.0)).fit(TRAIN, NOTHING)
    np.testing.assert_allclose(method.shift(Perturbation(("Z",))), method.intercept_)


def test_main_effects_choose_the_penalty_on_validation_perturbations():
    """Where doubles are exactly additive, the weakest shrinkage predicts the held-out double best."""
    rng = np.random.default_rng(0)
    effects = {gene: rng.normal(0, 0.5, 3) for gene in "ABCD"}
    base = np.array([4.0, 5.0, 6.0])
    rows = {"control": [base.tolist()] * 2}
    for label in ("A", "B", "C", "D", "A+B", "C+D", "A+C"):
        rows[label] = [(base + sum(effects[gene] for gene in label.split("+"))).tolist()] * 2
    validation = cells({"B+D": [(base + effects["B"] + effects["D"]).tolist()] * 2})
    method = MainEffects().fit(cells(rows), validation)
    assert method.penalty_ == PENALTIES[0]


def test_the_penalty_that_is_chosen_is_the_best_one_on_the_validation_perturbations():
    """No other penalty predicts the held-out doubles better; here it is none of the ends."""
    rng = np.random.default_rng(1)
    genes = "ABCDEFGH"
    effects = {gene: rng.normal(0, 0.3, 3) for gene in genes}
    doubles = [f"{a}+{b}" for i, a in enumerate(genes) for b in genes[i + 1 :]]
    base = np.array([4.0, 5.0, 6.0])

    def noisy(label: str) -> list[list[float]]:
        change = sum(effects[gene] for gene in label.split("+"))
        return [(base + change + rng.normal(0, 0.5, 3)).tolist()] * 2

    train = cells(
        {"control": [base.tolist()] * 2, **{label: noisy(label) for label in [*genes, *doubles[:4]]}}
    )
    validation = cells({label: noisy(label) for label in doubles[4:]})

    def error(penalty: float) -> float:
        method = MainEffects(MainEffectsConfig(penalty=penalty)).fit(train, NOTHING)
        real = mean_changes(train, validation)
        wrong = [
            method.shift(p) - row
            for p, row in zip(real.perturbations, real.values, strict=True)
            if str(p) in doubles[4:]
        ]
        return float(np.mean(np.square(wrong)))

    chosen = MainEffects().fit(train, validation).penalty_
    assert chosen == min(PENALTIES, key=error)
    assert chosen not in (PENALTIES[0], PENALTIES[-1])


def test_the_linear_model_chooses_what_predicts_the_validation_perturbations_best():
    """Perturbed genes that nobody measures have no expression embedding, so responses are chosen."""
    rng = np.random.default_rng(4)
    effects = {gene: rng.normal(0, 0.5, 3) for gene in "PQRS"}
    base = np.array([4.0, 5.0, 6.0])

    def exact(label: str) -> list[list[float]]:
        return [(base + sum(effects[gene] for gene in label.split("+"))).tolist()] * 2

    labels = ["P", "Q", "R", "S", "P+Q", "R+S", "P+R"]
    train = cells({"control": [base.tolist()] * 2, **{label: exact(label) for label in labels}})
    method = Linear().fit(train, cells({"Q+S": exact("Q+S")}))
    assert method.embedding_ == "response"
    assert method.ridge_ == 0.01


def test_the_mean_model_meets_its_mean_and_not_that_of_the_given_cells():
    method = MainEffects(MainEffectsConfig(penalty=0.0)).fit(TRAIN, NOTHING)
    odd = cells({"control": [[9.0, 0.0, 4.0]] * 2})
    (answer,) = method.predict(odd, [Perturbation(("A",))])
    np.testing.assert_allclose(answer.mean(axis=0), [5, 2, 4], atol=1e-4)


def test_the_linear_model_solves_its_ridge_problem():
    """The gradient of the penalised loss is zero at the map that is found."""
    method = Linear(Linear.Config(rank=2, ridge=0.0, embedding="response")).fit(TRAIN, NOTHING)
    changes = mean_changes(TRAIN)
    predicted = np.stack([method.shift(p) for p in changes.perturbations])
    g = method.components_
    p = method._coordinates(changes.perturbations)
    gradient = g.T @ (changes.values - predicted).T @ p
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_the_linear_model_falls_back_to_the_mean_for_genes_it_cannot_embed():
    method = Linear(Linear.Config(embedding="expression")).fit(TRAIN, NOTHING)
    np.testing.assert_allclose(method.shift(Perturbation(("Z",))), mean_changes(TRAIN).mean())


def test_training_cells_without_controls_are_refused():
    with pytest.raises(BenchmarkError, match="no control cells"):
        Additive().fit(cells({"A": CONTROL}), NOTHING)


def test_training_cells_without_perturbations_are_refused():
    with pytest.raises(BenchmarkError, match="no perturbed cells"):
        Additive().fit(cells({"control": CONTROL}), NOTHING)
