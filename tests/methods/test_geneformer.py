"""Geneformer's in-silico perturbation, against a plain reference, and what is refused and said."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.records.record import configuration_label
from benchmark.testing.case import tiny_panel
from methods.geneformer import Geneformer, GeneformerConfig
from methods.geneformer.insilico import concerned, edited
from methods.geneformer.ridge import STRENGTHS, fit_ridge
from tests.bomb import Bomb

PANEL = tiny_panel(0, 40)
GENES = list(PANEL.dataset.adata.var_names)


def method(**settings: object) -> Geneformer:
    return Geneformer(GeneformerConfig.build("smoke", settings), seed=0, device="cpu")


def test_deleting_drops_tokens_and_overexpressing_puts_them_in_front():
    cell = [7, 4, 9, 5]
    assert edited(cell, [4, 5], "delete") == [7, 9]
    assert edited(cell, [5, 8], "overexpress") == [5, 8, 7, 4, 9]
    cells = [cell, [4, 9], [5, 4]]
    assert concerned(cells, [4, 5], "delete") == [0, 2]
    assert concerned(cells, [4, 5], "overexpress") == [0, 1, 2]
    assert cell == [7, 4, 9, 5]


def test_the_strength_is_that_of_least_error_on_what_was_not_fitted():
    """Against the normal equations, strength by strength."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(6, 4))
    shifts, others = rng.normal(size=(9, 6)), rng.normal(size=(5, 6))
    changes = shifts @ slopes + rng.normal(size=(9, 4))
    ridge, error = fit_ridge(shifts, changes, others, others @ slopes)
    errors = []
    for alpha in STRENGTHS:
        scaled = shifts / shifts.std()
        centred = scaled - scaled.mean(axis=0)
        found = np.linalg.solve(centred.T @ centred + alpha * np.eye(6), centred.T @ changes)
        predicted = changes.mean(axis=0) + (others / shifts.std() - scaled.mean(axis=0)) @ found
        errors.append(np.mean((predicted - others @ slopes) ** 2))
        if alpha == ridge.alpha:
            np.testing.assert_allclose(ridge.predict(others), predicted, atol=1e-9)
    assert error == pytest.approx(min(errors))
    assert ridge.alpha == STRENGTHS[int(np.argmin(errors))]


def test_without_validation_each_training_perturbation_is_left_out_in_turn():
    rng = np.random.default_rng(1)
    shifts = rng.normal(size=(12, 3))
    changes = shifts @ rng.normal(size=(3, 5))
    ridge, _ = fit_ridge(shifts, changes, np.empty((0, 3)), np.empty((0, 5)))
    assert ridge.alpha == STRENGTHS[0]  # there is no noise to be strong against
    noise, _ = fit_ridge(shifts, rng.normal(size=(12, 5)), np.empty((0, 3)), np.empty((0, 5)))
    assert noise.alpha > 1


def reference(hosted: Geneformer, perturbation: Perturbation) -> np.ndarray:
    """Shift of the mean state of <cls> in the last layer but one, cell by cell."""
    train, _ = PANEL.views
    counts = np.expm1(train.X.toarray().astype(np.float64))
    medians = np.array([np.median(gene[gene > 0]) if (gene > 0).any() else np.inf for gene in counts.T])
    bert = BertModel(BertConfig(**hosted.settings_["bert"], pad_token_id=0), add_pooling_layer=False).eval()
    torch.nn.utils.vector_to_parameters(torch.from_numpy(hosted.weights_), bert.parameters())
    control = np.flatnonzero((train.obs["perturbation"] == "control").to_numpy())
    rows = np.sort(np.random.default_rng(0).permutation(control)[:8])
    shifts = []
    for row in rows:
        scaled = counts[row] / medians
        order = [gene for gene in np.argsort(-scaled, kind="stable") if scaled[gene] > 0]
        targets = [GENES.index(gene) for gene in perturbation.genes]
        if hosted.action_ == "delete" and not set(targets) <= set(order):
            continue
        rest = [gene for gene in order if gene not in targets]
        after = rest if hosted.action_ == "delete" else targets + rest
        states = []
        for cell in (order, after):
            tokens = torch.tensor([[2, *(4 + gene for gene in cell), 3]])
            with torch.no_grad():
                found = bert(input_ids=tokens, output_hidden_states=True).hidden_states[-2]
            states.append(found[0, 0].double().numpy())
        shifts.append(states[1] - states[0])
    return np.mean(shifts, axis=0)


@pytest.mark.parametrize("action", ["delete", "overexpress"])
def test_shifts_are_those_of_a_plain_reference(action):
    hosted = method(action=action, weights="random").fit(*PANEL.views)
    asked = [each for each in PANEL.questions if hosted.unsupported(each) is None]
    assert asked
    expected = np.stack([reference(hosted, each) for each in asked])
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(hosted._shifts(asked), expected, atol=1e-6)
    change = hosted.shift(asked[0])
    scaled = expected[0] / hosted.scale_ - hosted.centre_
    np.testing.assert_allclose(change, hosted.intercept_ + scaled @ hosted.slopes_, atol=1e-4)


def test_pretraining_lowers_its_loss_and_other_weights_are_other_numbers():
    hosted = method(steps=40, action="overexpress", lr=5e-3).fit(*PANEL.views)
    random = method(weights="random", action="overexpress").fit(*PANEL.views)
    assert hosted.weights_.shape == random.weights_.shape
    assert not np.allclose(hosted.weights_, random.weights_)


def test_the_board_never_calls_it_geneformer_alone_without_published_weights():
    assert configuration_label(GeneformerConfig()) == "in-domain"
    assert configuration_label(GeneformerConfig.build("control")) == "random weights, control"
    assert configuration_label(GeneformerConfig(checkpoint="V1")) == "checkpoint=V1"


def test_where_the_card_does_not_say_what_was_done_the_data_do_and_it_is_said(caplog):
    train, validation = PANEL.views
    train.uns["modality"] = "simulated"
    with caplog.at_level(logging.WARNING, "benchmark"):
        hosted = method(weights="random").fit(train, validation)
    assert any(f"{hosted.action_} (--set action=...)" in line for line in caplog.messages)
    train.uns["modality"] = "CRISPRa"
    assert method(weights="random").fit(train, validation).action_ == "overexpress"


def test_what_no_control_cell_expresses_cannot_be_deleted():
    train, validation = PANEL.views
    gene = GENES[3]
    values = train.X.toarray()
    values[(train.obs["perturbation"] == "control").to_numpy(), 3] = 0
    train.X = type(train.X)(values)
    hosted = method(weights="random", action="delete").fit(train, validation)
    assert hosted.unsupported(Perturbation((gene,))) == (
        f"no control cell expresses {gene}, so nothing can be deleted"
    )
    assert hosted.unsupported(Perturbation(("G999",))) == "there is no token of G999 to perturb in silico"


def write_checkpoint(folder, genes=GENES, cls=True, width=16):
    """A small checkpoint with the published files."""
    folder.mkdir()
    special = ["<pad>", "<mask>", *(["<cls>", "<eos>"] if cls else [])]
    tokens = {name: number for number, name in enumerate([*special, *genes])}
    settings = BertConfig(
        vocab_size=len(tokens), hidden_size=width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=30, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(3)
    BertModel(settings, add_pooling_layer=False).save_pretrained(folder)
    (folder / "token_dictionary.json").write_text(json.dumps(tokens))
    (folder / "gene_median_dictionary.json").write_text(json.dumps(dict.fromkeys(genes, 2.0)))
    (folder / "gene_name_id_dict.json").write_text("{}")
    return folder


@pytest.mark.parametrize("cls", [True, False])
def test_a_checkpoint_is_read_and_so_is_its_control(tmp_path, cls):
    folder = str(write_checkpoint(tmp_path / "small", cls=cls))
    hosted = method(checkpoint=folder, action="overexpress").fit(*PANEL.views)
    control = method(checkpoint=folder, action="overexpress", weights="random").fit(*PANEL.views)
    assert hosted.settings_ == control.settings_
    assert (hosted.settings_["cls"] is not None) == cls
    assert not np.allclose(hosted.weights_, control.weights_)
    cells, other = (next(each.predict(PANEL.control, PANEL.questions[:1])) for each in (hosted, control))
    assert cells.shape == other.shape


def test_checkpoints_that_cannot_be_used_are_refused_in_one_line(tmp_path):
    def refused(folder) -> str:
        with pytest.raises(BenchmarkError) as caught:
            method(checkpoint=str(folder), action="delete").fit(*PANEL.views)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "There is no folder" in refused(tmp_path / "nowhere")
    few = write_checkpoint(tmp_path / "few", GENES[:12])
    assert "has only 12 of the panel's 40 genes" in refused(few)
    lacking = write_checkpoint(tmp_path / "lacking")
    (lacking / "token_dictionary.json").unlink()
    assert "lacks token_dictionary.pkl" in refused(lacking)
    wide = write_checkpoint(tmp_path / "wide")
    config = json.loads((wide / "config.json").read_text())
    (wide / "config.json").write_text(json.dumps({**config, "hidden_size": 32}))
    assert "weights of another shape than its settings say" in refused(wide)
    bomb = write_checkpoint(tmp_path / "bomb")
    (bomb / "model.safetensors").unlink()
    torch.save(Bomb(tmp_path / "ran"), bomb / "pytorch_model.bin")
    assert "is damaged" in refused(bomb)
    assert not (tmp_path / "ran").exists()
