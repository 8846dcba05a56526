"""Drives the published package of biolord in its environment, for the parity test; see ``driving.py``."""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path

import anndata
import biolord
import numpy as np
import torch
from lightning.pytorch.callbacks import LambdaCallback


def main(folder: Path) -> None:
    """Train on the cells of the folder, choose the epoch on validation, and predict what is asked for."""
    os.chdir(folder)
    task = json.loads(Path("task.json").read_text())
    torch.set_num_threads(task["threads"])
    train, validation = anndata.read_h5ad("train.h5ad"), anndata.read_h5ad("validation.h5ad")
    labels = train.obs["perturbation"].to_numpy(str)
    genes = sorted({gene for label in labels for gene in label.split("+")} - {"control"})

    def indicators(label: str) -> np.ndarray:
        return np.array([gene in label.split("+") for gene in genes], np.float32)

    train.obsm["perturbed"] = np.stack([indicators(label) for label in labels])
    biolord.Biolord.setup_anndata(train, ordered_attributes_keys=["perturbed"])
    network = {**task["network"], "gene_likelihood": "normal", "seed": task["seed"]}
    model = biolord.Biolord(train, n_latent=task["n_latent"], module_params=network)
    kept = []
    model.train(
        max_epochs=task["epochs"],
        batch_size=task["batch_size"],
        train_size=1.0,
        plan_kwargs=task["plan"],
        enable_checkpointing=False,
        enable_progress_bar=False,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        accelerator="cpu",
        callbacks=[
            LambdaCallback(
                on_train_epoch_end=lambda *_: kept.append(copy.deepcopy(model.module.state_dict()))
            )
        ],
    )
    model.module.eval()
    control = model.get_dataset(train, np.flatnonzero(labels == "control"))
    start = train.X[labels == "control"].mean(axis=0, dtype=np.float64)

    @torch.no_grad()
    def mean(label: str) -> np.ndarray:
        perturbed = torch.tensor(indicators(label)).repeat(len(control["perturbed"]), 1)
        return (
            model.module.get_expression({**control, "perturbed": perturbed})[0].double().numpy().mean(axis=0)
        )

    def predict(weights: dict, asked: list[str]) -> np.ndarray:
        model.module.load_state_dict(weights)
        return np.stack([start + mean(label) - mean("control") for label in asked])

    names = validation.obs["perturbation"].to_numpy(str)
    wanted = sorted(set(names))
    real = np.stack([validation.X[names == label].mean(axis=0) for label in wanted])
    looked_at = kept[task["check_every"] - 1 :: task["check_every"]]
    errors = [np.mean((predict(weights, wanted) - real) ** 2) for weights in looked_at]
    best = looked_at[int(np.argmin(errors))]
    np.save("answers.npy", np.maximum(predict(best, task["ask"]), 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
