"""scGPT behind the harness: the means that the package gives by hand, and which checkpoints it takes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.perturbation import Perturbation
from benchmark.records.record import configuration_label
from methods._grn.scgpt.network import ScGPTEncoder
from methods.scgpt import Scgpt, ScgptConfig
from tests.bomb import Bomb
from tests.hosting.hosted import needs
from tests.methods.hosted.driving import PANEL, by_hand, require_parity, through_harness

SETTINGS = {
    "width": 16,
    "heads": 2,
    "hidden": 24,
    "layers": 2,
    "dropout": 0.1,
    "tokens": 24,
    "epochs": 3,
    "batch_size": 20,
    "lr": 5e-3,
}
GENES = list(PANEL.dataset.adata.var_names)
WIDTH, LAYERS = 16, 2


def write_checkpoint(folder, genes=GENES, flash=True, **sizes):
    """A small checkpoint with the published files and the names of flash attention."""
    folder.mkdir()
    said = {"embsize": WIDTH, "nheads": 2, "d_hid": 24, "nlayers": LAYERS, "n_bins": 51, **sizes}
    (folder / "args.json").write_text(json.dumps(said))
    tokens = ["<pad>", "<cls>", "<eoc>", *genes]
    (folder / "vocab.json").write_text(json.dumps({token: row for row, token in enumerate(tokens)}))
    torch.manual_seed(1)
    weights = ScGPTEncoder(len(tokens), WIDTH, 2, 24, LAYERS).state_dict()
    if flash:
        weights = {
            name.replace("self_attn.in_proj_", "self_attn.Wqkv."): value for name, value in weights.items()
        }
    torch.save({**weights, "decoder.fc.0.weight": torch.zeros(2)}, folder / "best_model.pt")
    return folder


def refused(checkpoint) -> str:
    """Why a checkpoint is not taken; no worker has started then."""
    with pytest.raises(BenchmarkError) as caught:
        Scgpt(ScgptConfig.build("smoke", {"checkpoint": str(checkpoint)}), device="cpu").about(*PANEL.views)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_checkpoint_the_board_says_so():
    assert configuration_label(ScgptConfig()) == "no pretraining"
    assert configuration_label(ScgptConfig.build("paper")) == "no pretraining, paper"
    assert configuration_label(ScgptConfig(lr=0.5)) == "no pretraining, lr=0.5"
    assert configuration_label(ScgptConfig(checkpoint="human")) == "checkpoint=human"


def test_the_worker_is_told_where_the_checkpoint_has_each_gene(tmp_path):
    folder = write_checkpoint(tmp_path / "some", GENES[:30])
    method = Scgpt(ScgptConfig.build("smoke", {"checkpoint": str(folder)}), device="cpu")
    said = method.about(*PANEL.views)
    rows = said["checkpoint"]["rows"]
    assert said["genes"][: said["measured"]] == GENES
    assert rows[:30] == list(range(3, 33))
    assert set(rows[30:]) == {0}


def test_checkpoints_that_cannot_be_used_are_refused_in_one_line(tmp_path):
    assert "There is no folder" in refused(tmp_path / "nowhere")
    write_checkpoint(tmp_path / "whole")
    (tmp_path / "whole" / "vocab.json").unlink()
    assert "lacks vocab.json" in refused(tmp_path / "whole")
    assert "an embedding of shape (43, 20), not one of shape (43, 16)" in refused(
        write_checkpoint(tmp_path / "wide", embsize=20)
    )
    few = write_checkpoint(tmp_path / "few", GENES[:12])
    assert "has only 12 of the panel's 40 genes" in refused(few)
    torch.save(Bomb(tmp_path / "ran"), few / "best_model.pt")
    write_checkpoint(tmp_path / "bomb")
    torch.save(Bomb(tmp_path / "ran"), tmp_path / "bomb" / "best_model.pt")
    assert "a PyTorch state dictionary of weights alone" in refused(tmp_path / "bomb")
    assert not (tmp_path / "ran").exists()


def test_a_gene_without_a_token_is_refused():
    method = Scgpt(ScgptConfig.build("smoke"), device="cpu")
    method.genes_ = GENES
    assert method.unsupported(Perturbation((GENES[0], GENES[1]))) is None
    assert method.unsupported(Perturbation(("G999",))).startswith("G999 is neither measured nor perturbed")


@pytest.mark.slow
def test_the_harness_gives_the_means_of_the_package():
    """Same cells, seed and settings: pairs, training, the choice of the epoch, the package's prediction."""
    needs("scgpt")
    require_parity(through_harness(Scgpt, **SETTINGS, cells_per_epoch=0), by_hand(Scgpt, **SETTINGS))


@pytest.mark.slow
def test_a_checkpoint_fills_all_that_it_should_and_says_so(tmp_path, caplog):
    needs("scgpt")
    caplog.set_level("INFO", "benchmark")
    settings = {"checkpoint": str(write_checkpoint(tmp_path / "whole")), "lr": "1e-9"}
    hosted = Scgpt(ScgptConfig.build("smoke", settings), seed=0, device="cpu").fit(*PANEL.views)
    assert any("the checkpoint filled 33 of 56 tensors" in line for line in caplog.messages)
    (tmp_path / "model.npz").write_bytes(hosted.model_.tobytes())
    weights = torch.load(tmp_path / "whole" / "best_model.pt", weights_only=True)
    with np.load(tmp_path / "model.npz") as kept:
        for flash, plain in (("linear1.weight",) * 2, ("self_attn.Wqkv.weight", "self_attn.in_proj_weight")):
            name = "transformer_encoder.layers.1."
            np.testing.assert_allclose(kept[name + plain], weights[name + flash], atol=1e-5)


@pytest.mark.slow
def test_a_checkpoint_that_fills_too_few_is_refused(tmp_path):
    needs("scgpt")
    folder = write_checkpoint(tmp_path / "short", nlayers=3)
    hosted = Scgpt(ScgptConfig.build("smoke", {"checkpoint": str(folder)}), device="cpu")
    with pytest.raises(BenchmarkError, match=r"fills 33 of the 45 tensors that fine-tuning takes over"):
        hosted.fit(*PANEL.views)


@pytest.mark.slow
def test_a_perturbed_gene_that_is_not_measured_has_a_token():
    needs("scgpt")
    gene = next(label for label in PANEL.split.train if "+" not in label)
    train, validation = (view[:, view.var_names != gene].copy() for view in PANEL.views)
    control = train[train.obs["perturbation"] == "control"][:6].copy()
    hosted = Scgpt(ScgptConfig.build("smoke"), seed=0, device="cpu").fit(train, validation)
    one, none = hosted.predict(control, [Perturbation((gene,)), Perturbation(())])
    assert one.shape == control.shape
    assert not np.allclose(one, none, atol=1e-5)
