"""The numbers that pictures are drawn from are those of the cells, computed by hand."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from benchmark.predicting import sample_cells
from benchmark.report.gallery import (
    PICTURES,
    changes,
    dots,
    effect_size,
    embedding,
    interaction,
    losses,
    network,
    trajectory,
    volcano,
)
from benchmark.report.looks import as_png
from benchmark.report.picture import LeftOutError, draw_all
from benchmark.report.refit import Cascade, not_asked
from benchmark.report.subject import choose
from benchmark.splits.views import control_cells
from tests.report.report_case import png_size, record, subject


def of(table: pd.DataFrame, **where: object) -> pd.DataFrame:
    """Rows with these values."""
    for name, value in where.items():
        table = table[table[name] == value]
    return table


def test_changes_are_means_minus_the_mean_of_the_control_cells():
    table = changes.numbers(subject())
    double = of(table, perturbation="A+B")
    assert list(double["gene"]) == ["A", "B", "C"]
    assert list(double["real_change"]) == [2, 2, 1]
    assert list(double["predicted_change"]) == [2, 2, -1]
    assert list(of(table, perturbation="C")["predicted_change"]) == [0, 0, 2]


def test_names_that_would_collide_with_that_of_a_larger_change_are_left_out():
    part = pd.DataFrame(
        {"real_change": [3.0, 2.9, -1.0], "predicted_change": [1.0, 1.0, 0.0], "gene": list("xyz")}
    )
    assert list(changes.apart(part, 0.2)["gene"]) == ["x", "z"]
    assert list(changes.apart(part, 0.05)["gene"]) == ["x", "y", "z"]


def test_no_volcano_shows_the_spread_of_control_cells_for_a_prediction():
    """Moved as one, with what falls below 0; and as many other cells, which differ from each other."""
    one = subject()
    at = one.record.coordinates.model_copy(update={"cells": 4})
    controls = np.array(sample_cells(control_cells(one.dataset, one.split), 4, 0).X.todense())
    moved = {label: np.maximum(controls + [0.5, 1, -1.5], 0).astype(np.float32) for label in one.chosen}
    shifted = replace(one, record=record(coordinates=at), predicted=moved)
    assert shifted.moves_cells_as_one
    with pytest.raises(LeftOutError, match="moves control cells as one"):
        volcano.numbers(shifted)
    factors = np.array([[1, 1, 1], [2, 1, 2], [3, 1, 1], [1, 2, 3]])
    drawn = {label: cells * factors for label, cells in moved.items()}
    assert not replace(shifted, predicted=drawn).moves_cells_as_one


def test_the_volcano_has_the_folds_and_tests_of_the_metrics_and_says_who_calls_a_gene_changed():
    more = record().coordinates.model_copy(update={"cells": 3})  # so that none is the start of another
    one = subject(record=record(coordinates=more))
    table = volcano.numbers(one)
    real, predicted = one.responses("A+B")
    rows = of(table, perturbation="A+B", side="predicted")
    np.testing.assert_array_equal(rows["fdr"], predicted.fdr)
    np.testing.assert_array_equal(rows["log2_fold_change"], predicted.log2_fold_change)
    names = {
        (True, True): "both",
        (True, False): "real only",
        (False, True): "predicted only",
        (False, False): "neither",
    }
    expected = [names[bool(a < 0.05), bool(b < 0.05)] for a, b in zip(real.fdr, predicted.fdr, strict=True)]
    assert (
        list(rows["called_by"]) == list(of(table, perturbation="A+B", side="real")["called_by"]) == expected
    )


def test_the_dot_plot_has_the_largest_changes_of_both_directions_in_order(monkeypatch):
    one = subject()
    real, _ = one.responses("A+B")
    object.__setattr__(real, "change", np.array([2.0, -3.0, 5.0]))
    object.__setattr__(real, "fdr", np.array([0.01, 0.01, 0.01]))
    assert dots.top_genes(real) == [2, 0, 1]
    monkeypatch.setattr(dots, "EACH_WAY", 1)
    assert dots.top_genes(real) == [2, 1]


def test_the_dot_plot_counts_the_cells_that_express_a_gene():
    one = subject(chosen=("A+B",))
    real, _ = one.responses("A+B")
    object.__setattr__(real, "fdr", np.array([0.01, 1.0, 0.01]))
    table = dots.numbers(one)
    assert list(dict.fromkeys(table["gene"])) == ["A", "C"]
    gene = of(table, gene="A").set_index("side")
    assert list(gene["share_expressing"]) == [0, 1, 1]
    assert list(gene["change"]) == [0, 2, 2]
    assert list(of(table, gene="C", side="predicted")["change"]) == [-1]


def test_without_a_de_gene_there_is_no_dot_plot():
    with pytest.raises(LeftOutError, match="No gene is differentially expressed"):
        dots.numbers(subject())


def test_the_effect_size_is_the_length_of_the_real_change():
    table = effect_size.numbers(subject())
    np.testing.assert_allclose(table["effect_size"], [3.0, 4.0])
    assert list(table["group"]) == ["combo_seen2", "unseen_single"]
    np.testing.assert_allclose(table["mse"], [4 / 3, 1])
    assert np.isnan(table["pearson"][1])
    assert not table["refused"].any()


def test_refused_perturbations_are_marked():
    table = effect_size.numbers(subject(record=record(fallbacks={"C": "not seen"})))
    assert list(table["refused"]) == [False, True]


def test_predicted_cells_have_no_say_in_the_plane():
    table = embedding.numbers(subject())
    moved = {label: cells + 9 for label, cells in subject().predicted.items()}
    other = embedding.numbers(subject(predicted=moved))
    fixed = table["kind"] != "predicted"
    pd.testing.assert_frame_equal(table[fixed], other[fixed])
    assert not np.allclose(table[~fixed][["x", "y"]], other[~fixed][["x", "y"]])


def test_the_plane_is_that_of_the_two_main_axes_of_the_cells():
    """Against the eigenvectors of the covariance of the same cells."""
    one = subject()
    cells = np.concatenate([one.control.toarray(), *(one.real[label].toarray() for label in one.chosen)])
    centred = cells - cells.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    table = embedding.numbers(one)
    own = table[table["kind"] == "real"][["x", "y"]].to_numpy()
    expected = centred[4:] @ vectors[:, [2, 1]]
    np.testing.assert_allclose(np.abs(own), np.abs(expected), atol=1e-6)
    assert f"{values[2] / values.sum():.0%}" in table["first_axis"][0]


def test_curves_are_drawn_as_they_were_reported():
    table = losses.numbers(subject(curves={"train/loss": [(1, 2.0), (5, 0.1)]}))
    assert table.to_dict("records") == [
        {"curve": "train/loss", "step": 1, "value": 2.0},
        {"curve": "train/loss", "step": 5, "value": 0.1},
    ]


@pytest.mark.parametrize(
    ("changed", "out"),
    [
        ({"predicted": {}}, {"changes", "volcano", "dots", "embedding", "interaction", "network"}),
        ({"predicts": "mean"}, {"embedding", "dots", "losses", "volcano"}),
        ({"record": record(scores={}, metrics={}, metric_versions={})}, {"effect_size", "dots", "losses"}),
    ],
)
def test_a_picture_that_does_not_apply_is_left_out_with_a_sentence(changed, out):
    drawn = draw_all([subject(**changed)], PICTURES)
    left = {each.picture.name: each.left_out for each in drawn if not each.png}
    assert out <= left.keys()
    assert all(
        reason.endswith(".") and not each.csv
        for reason, each in zip(left.values(), drawn, strict=False)
        if not each.png
    )
    assert {each.picture.name for each in drawn if each.png}.isdisjoint(out)


@pytest.mark.slow
def test_every_picture_shows_something_and_the_same_numbers_give_the_same_picture():
    cascade = Cascade({"A+B": Trace(NETWORK)})
    plain = subject(curves={"train/loss": [(1, 2.0), (5, 0.1)]}, cascade=cascade)
    drawn = {
        label: cells * np.linspace(0.5, 1.5, cells.size).reshape(cells.shape)
        for label, cells in plain.predicted.items()
    }
    one = replace(plain, predicted=drawn)
    for label in one.chosen:
        object.__setattr__(one.responses(label)[0], "fdr", np.array([0.01, 0.2, 0.01]))
    for picture in PICTURES:
        table = picture.numbers(one)
        png = as_png(picture.draw(table))
        assert min(png_size(png)) > 200, picture.name
        image = imread(io.BytesIO(png))[..., :3]
        assert 0.005 < (image.min(axis=-1) < 0.9).mean() < 0.6, picture.name
        assert as_png(picture.draw(table)) == png, picture.name


def test_perturbations_are_chosen_from_the_best_predicted_to_the_worst():
    labels = [f"G{n}" for n in range(10)]
    values = [0.5, 0.9, None, 0.1, 0.8, 0.7, 0.2, 0.6, 0.3, 0.4]
    kept = record(perturbations=labels, groups=["x"] * 10, scores={"pearson": values}, fallbacks={"G1": "no"})
    # G1 was refused and G2 is undefined; of the eight that are left, the places 0, 2.33, 4.67 and 7.
    assert choose(kept) == ("G4", "G7", "G8", "G3")
    assert choose(kept, ["G2", "G1", "G2"]) == ("G2", "G1")


def test_a_double_is_compared_with_the_sum_of_its_singles_its_targets_left_out():
    """A alone moves C by 0 and B alone by -1: the sum is -1, the truth +1, the prediction -1."""
    table = interaction.numbers(subject())
    assert table[["perturbation", "gene", "additive", "predicted", "real"]].to_dict("records") == [
        {"perturbation": "A+B", "gene": "C", "additive": -1, "predicted": -1, "real": 1}
    ]
    assert list(table[["real_strength", "predicted_strength", "real_deviation"]].iloc[0]) == [-1, 1, 2]


def test_strength_is_the_multiple_of_the_sum():
    additive = np.array([1.0, -2.0, 0.5])
    assert interaction.strength(1.5 * additive, additive) == pytest.approx(1.5)
    # What is at a right angle to the sum does not count.
    assert interaction.strength(additive + [2, 1, 0], additive) == pytest.approx(1)
    assert np.isnan(interaction.strength(additive, np.zeros(3)))


def test_without_measured_singles_there_is_no_interaction_map():
    plain = subject()
    alone = replace(plain.reference, singles={"A": plain.reference.singles["A"]})
    with pytest.raises(LeftOutError, match="No test perturbation is a double"):
        interaction.numbers(replace(plain, reference=alone))


@dataclass
class Trace:
    """A cascade of two cells in two steps, three genes and latents of one number."""

    network: np.ndarray | None
    latent: np.ndarray = field(default_factory=lambda: np.arange(18.0).reshape(3, 2, 3, 1) ** 1.5)
    expression: np.ndarray = field(default_factory=lambda: np.arange(18.0).reshape(3, 2, 3))


NETWORK = np.array([[9.0, -0.5, 0.1], [0.2, 9.0, 0.0], [0.7, -0.3, 9.0]])


def test_the_network_has_the_largest_changes_and_no_gene_reads_itself(monkeypatch):
    monkeypatch.setattr(network, "EDGES", 3)
    table = network.numbers(subject(cascade=Cascade({"A+B": Trace(NETWORK)})))
    assert table[["reads", "is_read", "change"]].to_numpy().tolist() == [
        ["C", "A", 0.7],
        ["A", "B", -0.5],
        ["C", "B", -0.3],
    ]
    monkeypatch.setattr(network, "EDGES", 99)
    assert len(network.largest_edges(NETWORK, ["A", "B", "C"])) == 6


def test_paths_are_drawn_in_the_plane_of_the_cells():
    """The plane of real and control cells is that of the picture of cells, so the points must be too."""
    one = subject(chosen=("A+B",), cascade=Cascade({"A+B": Trace(NETWORK)}))
    table = trajectory.numbers(one)
    cells = embedding.numbers(one)
    for kind in ("control", "real"):
        own = of(table, stage="expression", kind=kind)[["x", "y"]].to_numpy()
        np.testing.assert_allclose(own, of(cells, kind=kind)[["x", "y"]].to_numpy())
    path = of(table, stage="expression", kind="path")
    assert list(path["time"]) == [0, 0, 0.5, 0.5, 1, 1]
    assert list(path["cell"]) == [0, 1] * 3
    # Every step of every cell is the same vector, so is its shadow.
    moves = [np.diff(of(path, cell=cell)[["x", "y"]].to_numpy(), axis=0) for cell in (0, 1)]
    np.testing.assert_allclose(np.concatenate(moves), np.broadcast_to(moves[0][0], (4, 2)), atol=1e-9)
    latents = of(table, stage="network")
    assert len(latents) == 6
    # The plane is that of the finished latents, whose mean is its origin.
    np.testing.assert_allclose(of(latents, time=1.0)[["x", "y"]].mean(), 0, atol=1e-9)


def test_a_latent_without_directions_has_no_network_and_another_method_no_cascade():
    with pytest.raises(LeftOutError, match="not towards which genes"):
        network.numbers(subject(cascade=Cascade({"A+B": Trace(None)})))
    for picture in (network, trajectory):
        with pytest.raises(LeftOutError, match="does not generate a change of the network first"):
            picture.numbers(subject())


@pytest.mark.parametrize(
    ("method", "sentence"), [("grnflow_scalar", "--refit trains"), ("submitted", "not generate")]
)
def test_a_cascade_says_what_would_draw_it(method, sentence):
    at = record().coordinates.model_copy(update={"method": method})
    assert sentence in not_asked(record(coordinates=at)).missing
