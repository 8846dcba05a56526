"""Drives the published package of GEARS; runs in its own environment, and knows nothing of the harness."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData, concat
from launch import Job, Refusal, alone

CONTROL_CELLS = 300
"""Control cells in the one batch that `GEARS.predict` makes for a perturbation."""
LAYERS = "network/"
"""Begins the name of each array of the network's weights."""
GRAPHS = ("G_go", "G_go_weight", "G_coexpress", "G_coexpress_weight")
"""Edges and weights of both graphs, as GEARS names them."""


def fit(job: Job) -> None:
    """Train GEARS and keep the network of the best epoch."""
    os.chdir(job.folder)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        gears = _package()
        _seed(job.seed)
        data = _data(job)
        model = _initialised(job, data)
        _train(job, model, gears)
    settings = {name: value for name, value in model.config.items() if isinstance(value, int | float)}
    job.save_model(
        settings=np.array(json.dumps(settings)),
        genes=np.array(job.about["genes"]),
        **{name: model.config[name].cpu().numpy() for name in GRAPHS},
        **{LAYERS + name: value.cpu().numpy() for name, value in model.best_model.state_dict().items()},
    )


def predict(job: Job) -> None:
    """Answer the mean change of each perturbation, (genes,)."""
    os.chdir(job.folder)
    _package()
    from gears.model import GEARS_Model

    arrays = job.model()
    graphs = {name: torch.from_numpy(arrays[name]) for name in GRAPHS}
    network = GEARS_Model({**json.loads(str(arrays["settings"])), **graphs, "device": job.device})
    network = network.to(job.device).eval()
    weights = {
        name.removeprefix(LAYERS): torch.from_numpy(values)
        for name, values in arrays.items()
        if name.startswith(LAYERS)
    }
    control = job.cells("control")
    for index, genes in enumerate(job.perturbations):
        network.load_state_dict(weights)  # every pass rescales the embeddings in place (max_norm)
        _seed(job.seed)
        job.answer(index, _change(network, control, genes, arrays["genes"], job.device))


def _package() -> ModuleType:
    """Import GEARS, whose distance correlations (dcor) are compiled where they are imported first."""
    with alone():
        import gears
    return gears


def _change(network: Any, control: AnnData, genes: list[str], nodes: np.ndarray, device: str) -> np.ndarray:
    """Predict a batch of control cells as `GEARS.predict` does; mean of predicted minus control, (genes,)."""
    from gears.utils import create_cell_graph_dataset_for_prediction
    from torch_geometric.loader import DataLoader

    cells = create_cell_graph_dataset_for_prediction(genes, control, nodes, device, CONTROL_CELLS)
    batch = next(iter(DataLoader(cells, CONTROL_CELLS, shuffle=False))).to(device)
    with torch.no_grad():
        predicted = network(batch)
    change = predicted - batch.x.reshape(predicted.shape)
    return change.double().mean(axis=0).cpu().numpy()


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what GEARS draws from
    torch.manual_seed(seed)


def _data(job: Job) -> Any:
    """Have GEARS prepare the cells, with every file that it would download in its place."""
    from gears import PertData, pertdata

    folder, genes = job.folder / "gears", job.about["genes"]
    folder.mkdir()
    _pickle(folder / "gene2go_all.pkl", {gene: set() for gene in genes})
    pertdata.tqdm = partial(_shown, job)
    data = PertData(str(folder), gene_set_path=_pickle(folder / "genes.pkl", genes), default_pert_graph=False)
    data.new_data_process("cells", adata=_cells(job))
    train = [_condition(label) for label in job.about["train"]]
    chosen = [_condition(label) for label in job.about["validation"]]
    parts = {"train": ["ctrl", *train], "val": chosen or train, "test": []}
    data.prepare_split("custom", seed=job.seed, split_dict_path=_pickle(folder / "split.pkl", parts))
    data.get_dataloader(job.config["batch_size"])
    del data.dataloader["test_loader"]  # GEARS then ends without testing
    return data


def _cells(job: Job) -> AnnData:
    """Cells of the control and of all perturbations that are used, in the form that GEARS asks for."""
    cells = concat([job.cells("train"), job.cells("validation")])
    labels = ["control", *job.about["train"], *job.about["validation"]]
    cells = cells[cells.obs["perturbation"].isin(labels)]
    obs = pd.DataFrame(
        {"condition": cells.obs["perturbation"].map(_condition).astype(str), "cell_type": "cell"}
    ).set_axis([f"cell{index}" for index in range(cells.n_obs)])
    var = pd.DataFrame({"gene_name": list(cells.var_names)}, index=cells.var_names)
    return AnnData(cells.X.tocsr(), obs=obs, var=var)


def _condition(label: str) -> str:
    """The label as GEARS writes it: ``ctrl``, ``A+ctrl``, ``A+B``."""
    if label == "control":
        return "ctrl"
    return label if "+" in label else f"{label}+ctrl"


def _initialised(job: Job, data: Any) -> Any:
    """Make the model of GEARS, with the graph of shared terms that the harness made."""
    from gears import GEARS
    from gears.utils import GeneSimNetwork

    sparse = data.adata.X
    data.adata.X = sparse.toarray()  # the constructor indexes it with a pandas mask
    model = GEARS(data, device=job.device)
    data.adata.X = sparse
    names, (sources, targets) = data.pert_names, job.about["edges"]
    edges = {"source": names[sources], "target": names[targets], "importance": job.about["weights"]}
    alike = GeneSimNetwork(pd.DataFrame(edges), names.tolist(), node_map=data.node_map_pert)
    model.model_initialize(
        hidden_size=job.config["hidden_size"],
        num_go_gnn_layers=job.config["num_go_gnn_layers"],
        num_gene_gnn_layers=job.config["num_gene_gnn_layers"],
        num_similar_genes_go_graph=job.config["num_similar_genes_go_graph"],
        num_similar_genes_co_express_graph=job.config["num_similar_genes_co_express_graph"],
        coexpress_threshold=job.config["coexpress_threshold"],
        direction_lambda=job.config["direction_lambda"],
        G_go=alike.edge_index,
        G_go_weight=alike.edge_weight,
    )
    return model


def _train(job: Job, model: Any, gears: Any) -> None:
    """Have GEARS train, show each step and its loss, and stop where that is no number."""
    epochs, official = job.config["epochs"], gears.gears.loss_fct
    with job.stage("train", epochs * len(model.dataloader["train_loader"])) as stage:

        def loss_fct(*arguments: Any, **options: Any) -> torch.Tensor:
            loss = official(*arguments, **options)
            if not torch.isfinite(loss):
                raise Refusal(f"The loss of GEARS' training has become {loss.item()}; set lr lower.")
            stage.advance(loss=loss.item())
            return loss

        gears.gears.loss_fct = loss_fct
        model.train(epochs=epochs, lr=job.config["lr"], weight_decay=job.config["weight_decay"])


def _shown(job: Job, conditions: Iterable[str]) -> Iterator[str]:
    """Stand in for the bar of GEARS while it pairs perturbed cells with control cells."""
    conditions = list(conditions)
    with job.stage("pair cells", len(conditions)) as stage:
        for condition in conditions:
            yield condition
            stage.advance()


def _pickle(path: Path, value: Any) -> str:
    path.write_bytes(pickle.dumps(value))
    return str(path)
