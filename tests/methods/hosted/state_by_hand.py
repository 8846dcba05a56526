"""Drives the published package of STATE by its command line, for the parity test; see ``driving.py``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import torch


def main(folder: Path) -> None:
    """Train by the command line on the cells of the folder, and predict by the class."""
    os.chdir(folder)
    task = json.loads(Path("task.json").read_text())
    train, validation = anndata.read_h5ad("train.h5ad"), anndata.read_h5ad("validation.h5ad")
    labels = sorted(set(train.obs["perturbation"]))
    genes = sorted({gene for label in labels for gene in label.split("+")} - {"control"})

    def indicators(label: str) -> torch.Tensor:
        return torch.tensor([float(gene in label.split("+")) for gene in genes])

    cells = anndata.concat([train, validation])
    cells.obs["cell_type"] = cells.obs["batch"] = "one"
    cells.obs = cells.obs.astype("category")
    cells.obsm["X_hvg"] = cells.X
    cells.write_h5ad("screen.h5ad")
    wanted = sorted(set(validation.obs["perturbation"]))
    torch.save({str(label): indicators(label) for label in [*labels, *wanted]}, "features.pt")
    Path("split.toml").write_text(
        f'[datasets]\nscreen = "{folder}/screen.h5ad"\n[training]\nscreen = "train"\n[zeroshot]\n'
        f'[fewshot."screen.one"]\nval = {json.dumps(wanted)}\ntest = []\n'
    )
    paths = {"output_dir": folder, "data.kwargs.toml_config_path": folder / "split.toml"}
    told = {**task["told"], **paths, "data.kwargs.perturbation_features_file": folder / "features.pt"}
    environment = {
        **os.environ,
        "WANDB_MODE": "disabled",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": str(task["threads"]),
    }
    command = [
        sys.executable,
        "-m",
        "state",
        "tx",
        "train",
        *(f"{key}={value}" for key, value in told.items()),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

    from state.tx.models.state_transition import StateTransitionPerturbationModel

    torch.set_num_threads(task["threads"])
    path = folder / "run" / "checkpoints" / "best.ckpt"
    model = StateTransitionPerturbationModel.load_from_checkpoint(path, map_location="cpu").eval()
    control = torch.tensor(anndata.read_h5ad("control.h5ad").X)
    size = model.cell_sentence_len
    rest = -len(control) % size
    sets = torch.cat([control, control[:rest]]).split(size)

    @torch.no_grad()
    def mean(label: str) -> np.ndarray:
        asked = {"pert_emb": indicators(label).repeat(size, 1), "pert_name": [label] * size}
        moved = [model.predict_step({"ctrl_cell_emb": x, **asked}, 0, padded=False)["preds"] for x in sets]
        return torch.cat(moved)[: len(control)].double().numpy().mean(axis=0)

    np.save("answers.npy", np.stack([mean(label) for label in task["ask"]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
