"""Drives the published package of CPA as its tutorial does; run by the parity test, in its environment.

``python cpa_by_hand.py FOLDER`` reads ``cells.h5ad`` (X as CPA is to see it; obs "perturbation", "dosage",
"cell_type", "split"), ``control.h5ad`` and ``task.json``, and writes ``answers.npz``: for each label that is
asked, ``CPA_pred`` of the control cells under it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anndata
import cpa
import numpy as np
import pandas as pd
import torch


def set_up(adata: anndata.AnnData, is_count_data: bool) -> None:
    """Tell the package what the columns are."""
    cpa.CPA.setup_anndata(
        adata,
        perturbation_key="perturbation",
        control_group="ctrl",
        dosage_key="dosage",
        categorical_covariate_keys=["cell_type"],
        is_count_data=is_count_data,
        max_comb_len=2,
    )


def main(folder: Path) -> None:
    """Train on the cells of the folder, and predict what its task asks for."""
    os.chdir(folder)
    task = json.loads(Path("task.json").read_text())
    torch.set_num_threads(task["threads"])  # another number rounds otherwise, which training magnifies
    counts = task["network"]["recon_loss"] == "nb"
    cells, control = anndata.read_h5ad("cells.h5ad"), anndata.read_h5ad("control.h5ad")
    cpa.CPA.pert_smiles_map = {}
    set_up(cells, counts)
    model = cpa.CPA(
        cells,
        split_key="split",
        train_split="train",
        valid_split="valid",
        test_split="ood",
        **task["network"],
    )
    model.train(use_gpu=False, plan_kwargs=task["plan"], save_path="saved", **task["training"])

    answers = {}
    for label in task["ask"]:
        doses = "+".join(["1.0"] * len(label.split("+")))
        columns = {"perturbation": label, "dosage": doses, "cell_type": "K562"}
        query = anndata.AnnData(control.X, obs=pd.DataFrame(columns, index=control.obs_names))
        set_up(query, counts)
        twin = cpa.CPA(query, **task["network"])
        twin.module.load_state_dict(model.module.state_dict())
        twin.predict(query, batch_size=64)
        answers[label] = query.obsm["CPA_pred"]
    np.savez("answers.npz", **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
