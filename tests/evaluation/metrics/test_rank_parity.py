"""The ranks of cell-eval's discrimination score are ours, or the difference has a name and a reason."""

from __future__ import annotations

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest

from benchmark.evaluation.metrics.evaluate import evaluate
from tests.evaluation.metrics.metric_case import against

Cells = dict[str, np.ndarray]
LABELS = [f"P{index}" for index in range(9)]
DISTANCES = {"pds_l1": "l1", "pds_l2": "l2", "pds_cosine": "cosine"}


def screen(labels: list[str], genes: int = 20, seed: int = 0) -> tuple[Cells, Cells]:
    """Draw real and predicted cells, control among them and the same on both sides."""
    rng = np.random.default_rng(seed)
    control = rng.uniform(5, 6, (8, genes)).astype(np.float32)
    real, predicted = {"control": control}, {"control": control}
    for label in labels:
        effect = rng.normal(0, 0.5, genes)
        real[label] = (control + effect).astype(np.float32)
        predicted[label] = (control + effect + rng.normal(0, 0.8, genes)).astype(np.float32)
    return real, predicted


def ours(real: Cells, predicted: Cells) -> pd.DataFrame:
    """Score with this package."""
    labels = [label for label in real if label != "control"]
    return evaluate(against(real["control"]), {p: real[p] for p in labels}, {p: predicted[p] for p in labels})


def cell_evals(real: Cells, predicted: Cells) -> pd.DataFrame:
    """Score with cell-eval's function."""
    types = pytest.importorskip("cell_eval._types")
    score = pytest.importorskip("cell_eval.metrics._anndata").discrimination_score
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = types.PerturbationAnndataPair(
            annotated(real), annotated(predicted), pert_col="perturbation", control_pert="control"
        )
        scores = {name: score(pair, metric=distance) for name, distance in DISTANCES.items()}
    return pd.DataFrame(scores).loc[[label for label in real if label != "control"]]


def annotated(cells: Cells) -> anndata.AnnData:
    """Join the cells of all labels."""
    labels = np.repeat(list(cells), [len(block) for block in cells.values()])
    values = np.concatenate(list(cells.values()))
    return anndata.AnnData(
        values,
        obs=pd.DataFrame({"perturbation": labels}, index=[f"cell{i}" for i in range(len(labels))]),
        var=pd.DataFrame(index=[f"G{i}" for i in range(values.shape[1])]),
    )


def rescaled(theirs: pd.DataFrame) -> pd.DataFrame:
    """Divide cell-eval's rank by the number of the others instead of by that of all."""
    n = len(theirs)
    return 1 - (1 - theirs) * n / (n - 1)


@pytest.mark.filterwarnings("ignore")
def test_cell_eval_agrees_where_no_target_is_measured_once_ranks_are_divided_alike() -> None:
    """The first named difference: it divides by n, so that the worst score is 1 / n instead of 0."""
    real, predicted = screen(LABELS)
    predicted["P0"] = 2 * real["control"] - real["P0"]  # the opposite
    theirs = cell_evals(real, predicted)
    np.testing.assert_allclose(ours(real, predicted)[list(DISTANCES)], rescaled(theirs), atol=1e-6)
    assert ours(real, predicted).loc["P0", list(DISTANCES)].tolist() == [0] * 3
    assert theirs.loc["P0"].tolist() == pytest.approx([1 / len(LABELS)] * 3)
    assert theirs["pds_l2"].nunique() > 2


@pytest.mark.filterwarnings("ignore")
def test_cell_eval_leaves_out_the_own_target_of_singles_alone() -> None:
    """The second named difference: silence the targets in all cells and it is gone; spike them and it pays.

    A double that spikes its own targets is told from all others by cell-eval, and gains nothing here.
    """
    labels = ["G0", "G1", "G2+G3", "G0+G4", "P", "Q"]
    real, predicted = screen(labels, seed=1)
    silent = [{p: np.where(np.arange(20) < 5, 0, v) for p, v in side.items()} for side in (real, predicted)]
    np.testing.assert_allclose(ours(*silent)[list(DISTANCES)], rescaled(cell_evals(*silent)), atol=1e-6)
    np.testing.assert_allclose(
        ours(real, predicted)[list(DISTANCES)], ours(*silent)[list(DISTANCES)], atol=1e-6
    )

    real["G2+G3"][:, 2:4] += 4
    predicted["G2+G3"] = real["control"] + 5 * (np.arange(20) == 2) + 5 * (np.arange(20) == 3)
    assert (cell_evals(real, predicted).loc["G2+G3"] == 1).all()
    assert (ours(real, predicted).loc["G2+G3", list(DISTANCES)] < 1).all()


@pytest.mark.filterwarnings("ignore")
def test_cell_eval_breaks_ties_by_order() -> None:
    """The third named difference: of two equal perturbations one scores more, here both the same."""
    real, predicted = screen(LABELS)
    real["P1"], predicted["P0"], predicted["P1"] = real["P0"], real["P0"], real["P0"]
    here, there = (
        table.loc[["P0", "P1"], "pds_l2"] for table in (ours(real, predicted), cell_evals(real, predicted))
    )
    assert sorted(there) == pytest.approx([1 - 1 / len(LABELS), 1])
    assert here.to_numpy() == pytest.approx(1 - 0.5 / (len(LABELS) - 1))


@pytest.mark.filterwarnings("ignore")
def test_cell_eval_lets_a_prediction_move_its_own_control() -> None:
    """The fourth named difference: a better score for worse controls; here no predicted control is read."""
    real, predicted = screen(LABELS, seed=2)
    shifted = {label: cells + 1 for label, cells in predicted.items()}
    honest = cell_evals(real, {**shifted, "control": predicted["control"]})
    assert cell_evals(real, shifted).mean().mean() > honest.mean().mean()
    pd.testing.assert_frame_equal(
        ours(real, shifted)[list(DISTANCES)],
        ours(real, {**shifted, "control": predicted["control"]})[list(DISTANCES)],
    )
