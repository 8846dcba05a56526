"""CPA through the harness gives the means that the package gives when it is driven by hand."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from benchmark.machine.processes import threads
from benchmark.testing.case import tiny_panel
from methods.cpa import Cpa, CpaConfig
from tests.hosting.hosted import needs

pytestmark = pytest.mark.slow

PANEL = tiny_panel(0, 40)
ASKED = [str(question) for question in PANEL.questions] + [PANEL.split.train[0]]
SEED = 5
NETWORK = {
    "n_latent": 12,
    "doser_type": "logsigm",
    "n_hidden_encoder": 24,
    "n_layers_encoder": 2,
    "n_hidden_decoder": 20,
    "n_layers_decoder": 1,
    "use_batch_norm_encoder": True,
    "use_batch_norm_decoder": True,
    "dropout_rate_encoder": 0.1,
    "dropout_rate_decoder": 0.05,
}
PLAN = {
    "lr": 5e-3,
    "wd": 1e-5,
    "doser_lr": 1e-3,
    "doser_wd": 1e-6,
    "step_size_lr": 4,
    "n_epochs_pretrain_ae": 3,
    "n_epochs_adv_warmup": 4,
    "mixup_alpha": 0.0,
    "n_epochs_mixup_warmup": 0,
    "n_hidden_adv": 16,
    "n_layers_adv": 1,
    "dropout_rate_adv": 0.2,
    "adv_steps": 2,
    "reg_adv": 2.0,
    "pen_adv": 3.0,
    "adv_lr": 2e-3,
    "adv_wd": 1e-6,
}
TRAINING = {"max_epochs": 12, "batch_size": 48, "check_val_every_n_epoch": 2, "early_stopping_patience": 3}


def label(text: str) -> str:
    """A label in the words of CPA."""
    return "ctrl" if text == "control" else text


def by_hand(loss: str) -> dict[str, np.ndarray]:
    """What the package by itself writes for each label, once it has learned from the cells."""
    train, validation = PANEL.views
    parts = ["train"] * train.n_obs + ["valid"] * validation.n_obs
    labels = [label(text) for view in (train, validation) for text in view.obs["perturbation"]]
    doses = ["1.0+1.0" if "+" in text else "1.0" for text in labels]
    columns = {"perturbation": labels, "dosage": doses, "cell_type": "K562", "split": parts}
    names = [*train.obs_names, *validation.obs_names]

    def seen(view: AnnData) -> np.ndarray:
        return (view.layers["counts"] if loss == "nb" else view.X).toarray()

    task = {
        "threads": threads(),
        "network": {**NETWORK, "recon_loss": loss, "seed": SEED},
        "plan": PLAN,
        "training": TRAINING,
        "ask": ASKED,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        AnnData(
            np.concatenate([seen(train), seen(validation)]), obs=pd.DataFrame(columns, index=names)
        ).write_h5ad(folder / "cells.h5ad")
        AnnData(
            seen(PANEL.control), obs=pd.DataFrame(index=[str(row) for row in range(PANEL.control.n_obs)])
        ).write_h5ad(folder / "control.h5ad")
        (folder / "task.json").write_text(json.dumps(task))
        command = [Cpa.environment().python, "-I", Path(__file__).with_name("cpa_by_hand.py"), folder]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        with np.load(folder / "answers.npz") as answers:
            return dict(answers)


@pytest.mark.parametrize("loss", ["nb", "gauss"])
def test_the_harness_gives_the_means_of_the_package(loss):
    """Same cells, split, seed and settings: training, choice of the epoch, doubles that were held out."""
    needs("cpa")
    config = CpaConfig.build("smoke", {**NETWORK, **PLAN, **TRAINING, "recon_loss": loss, "answer": "mean"})
    hosted = Cpa(config, seed=SEED, device="cpu").fit(*PANEL.views)
    asked = [*PANEL.questions, type(PANEL.questions[0]).parse(ASKED[-1])]
    answers = np.stack([cells.mean(axis=0) for cells in hosted.predict(PANEL.control, asked)])

    official = by_hand(loss)
    depth = PANEL.control.layers["counts"].toarray().sum(axis=1, keepdims=True)  # all genes are measured
    expected = np.stack(
        [
            np.mean(
                np.log1p(official[text] / depth * 1e4) if loss == "nb" else np.maximum(official[text], 0), 0
            )
            for text in ASKED
        ]
    )
    start = PANEL.control.X.toarray().mean(axis=0)
    assert np.abs(expected - start).max() > 0.1
    assert (
        np.ptp(expected, axis=0).max() > 1e-2
    )  # perturbations differ, so that parity says something of each
    np.testing.assert_allclose(answers, expected, atol=1e-4)
