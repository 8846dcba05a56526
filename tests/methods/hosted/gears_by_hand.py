"""Drives the published package of GEARS as its documentation does, in its environment, for the parity test.

``python gears_by_hand.py FOLDER`` reads ``cells.h5ad`` (obs "condition" and "cell_type", var "gene_name")
and ``task.json``, and writes ``answers.npz``: mean-0, mean-1, ... as `GEARS.predict` gives them, and
``start``, the mean of the control cells that each of them was predicted from.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path

import anndata
import gears.utils
import numpy as np
import torch
from gears import GEARS, PertData

SAMPLES = 300


def shared_terms(data: PertData, neighbours: int) -> gears.utils.GeneSimNetwork:
    """The graph of genes as `gears.utils.get_similarity_network` makes it, with one process."""
    names = data.pert_names.tolist()
    table = gears.utils.make_GO(data.data_path, names, data.dataset_name, num_workers=1, save=False)
    nearest = table.groupby("target").apply(lambda rows: rows.nlargest(neighbours + 1, ["importance"]))
    return gears.utils.GeneSimNetwork(nearest.reset_index(drop=True), names, node_map=data.node_map_pert)


def main(folder: Path) -> None:
    """Train on the cells of the folder, and predict what its task asks for."""
    os.chdir(folder)
    task = json.loads(Path("task.json").read_text())
    os.mkdir("data")
    gene2go = {gene: set(terms) for gene, terms in task["gene2go"].items()}
    Path("data/gene2go_all.pkl").write_bytes(pickle.dumps(gene2go))
    Path("split.pkl").write_bytes(pickle.dumps(task["split"]))

    torch.set_num_threads(task["threads"])  # another number rounds otherwise, which training magnifies
    np.random.seed(task["seed"])  # noqa: NPY002 - what GEARS draws from
    torch.manual_seed(task["seed"])
    data = PertData("data", default_pert_graph=False)
    data.new_data_process("by_hand", adata=anndata.read_h5ad("cells.h5ad"))
    data.prepare_split(split="custom", seed=task["seed"], split_dict_path="split.pkl")
    data.get_dataloader(batch_size=task["batch_size"], test_batch_size=128)
    sparse = data.adata.X
    data.adata.X = sparse.toarray()
    model = GEARS(data, device="cpu")
    data.adata.X = sparse
    graph = shared_terms(data, task["neighbours"])
    model.model_initialize(**task["network"], G_go=graph.edge_index, G_go_weight=graph.edge_weight)
    model.train(**task["training"])

    answers = {}
    for index, genes in enumerate(task["ask"]):
        np.random.seed(task["seed"])  # noqa: NPY002
        answers[f"mean-{index}"] = model.predict([genes])["_".join(genes)]
    np.random.seed(task["seed"])  # noqa: NPY002
    drawn = np.random.randint(0, model.ctrl_adata.n_obs, SAMPLES)  # noqa: NPY002 - the same draw as above
    start = model.ctrl_adata.X[drawn].toarray().mean(axis=0, dtype=np.float64)
    edges = np.stack([graph.edge_index[0], graph.edge_index[1]])
    np.savez("answers.npz", start=start, edges=edges, weights=graph.edge_weight, **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
