"""The worker of CPA: the published cpa-tools 0.8.1, in its own environment."""

from __future__ import annotations

import csv
import json
import logging
import os
import sys
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse as sp
from launch import Job, Refusal

CONTROL = "ctrl"
"""What CPA calls control cells; it has an embedding of its own."""
GENES = 2
"""Most genes that are perturbed together."""
SHARE = 0.15
"""Of each training perturbation's cells, to choose the epoch on where validation cannot; the tutorial's."""
ALL = "all"
"""The covariate of all cells where they are not of several contexts."""
BATCH = 1024
"""Cells per batch of a prediction."""

NETWORK = (
    "n_latent", "doser_type", "n_hidden_encoder", "n_layers_encoder", "n_hidden_decoder",
    "n_layers_decoder", "use_batch_norm_encoder", "use_batch_norm_decoder", "dropout_rate_encoder",
    "dropout_rate_decoder",
)  # fmt: skip
"""Hyper-parameters that go to CPA's networks under the same name."""
PLAN = (
    "lr", "wd", "doser_lr", "doser_wd", "step_size_lr", "n_epochs_pretrain_ae", "mixup_alpha",
    "n_epochs_mixup_warmup", "n_hidden_adv", "n_layers_adv", "dropout_rate_adv", "adv_steps", "reg_adv",
    "pen_adv", "adv_lr", "adv_wd",
)  # fmt: skip
"""Hyper-parameters that go to CPA's training plan under the same name."""


def fit(job: Job) -> None:
    """Train CPA on control and training cells; keep its best weights and what its labels mean."""
    cpa = _package(job)
    train, validation = job.cells("train"), job.cells("validation")
    labels = [_label(text) for cells in (train, validation) for text in cells.obs["perturbation"]]
    genes, vectors = _embedded(job, labels[: train.n_obs])
    parts = divide(labels, train.n_obs, set(genes), job.config["batch_size"], job.seed)
    loss = job.about["recon_loss"]
    used = parts != "unused"
    values = sp.vstack([_values(train, loss), _values(validation, loss)], format="csr")[used]
    contexts = _contexts(train) + _contexts(validation)
    about = {"genes": genes, "recon_loss": loss, "contexts": sorted(set(contexts))}
    told = [[row for row, kept in zip(rows, used, strict=True) if kept] for rows in (labels, contexts)]
    adata = _registered(cpa, values, *told, about)
    adata.obs["split"] = parts[used]
    model = _model(cpa, job, adata, loss, vectors, split_key="split", valid_split="valid")
    _train(job, model)
    weights = {name: value.cpu().numpy() for name, value in model.module.state_dict().items()}
    job.save_model(about=np.array(json.dumps(about)), **weights)


def predict(job: Job) -> None:
    """Answer the control cells under each perturbation: counts, where they are drawn, or log1p CP10K."""
    cpa = _package(job)
    import torch

    weights = job.model()
    about = {"contexts": [ALL], **json.loads(str(weights.pop("about")))}
    control = job.cells("control")
    values = _values(control, about["recon_loss"])
    query = _registered(cpa, values, [CONTROL] * control.n_obs, _contexts(control), about)
    vectors = weights["pert_network.pert_embedding.weight"] if job.config["gene_embeddings"] else None
    model = _model(cpa, job, query, about["recon_loss"], vectors)
    model.module.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})
    model.to_device(job.device)
    row = _rows(about["genes"])
    for index, genes in enumerate(job.perturbations):
        _relabel(query, [row[gene] for gene in _known(genes, row)])
        model.predict(query, batch_size=BATCH)
        predicted = np.maximum(query.obsm["CPA_pred"], 0)
        if about["recon_loss"] != "gauss" and job.config["answer"] == "sample":
            rng = np.random.default_rng([job.seed, *(row[gene] for gene in genes)])
            predicted = draw_counts(predicted, np.exp(weights["px_r"].astype(np.float64)), rng)
        elif about["recon_loss"] != "gauss":
            predicted = to_log(predicted, values, control.X)
        job.answer(index, predicted)


def divide(labels: list[str], n_train: int, known: set[str], batch_size: int, seed: int) -> np.ndarray:
    """Say what becomes of each cell: "train", "valid" to choose the epoch on, or "unused".

    Parameters
    ----------
    labels
        CPA's label of each cell: first those of training, then those of validation.
    n_train
        How many are of training.
    known
        Genes that have an embedding.
    batch_size
        Cells per batch. One cell alone in a batch stops batch normalisation, and CPA's neighbours in
        validation; where one would be left over, the last cell of that part is not used.
    seed
        Of the draw that replaces validation where none of its perturbations is made of known genes.
    """
    usable = [set(label.split("+")) <= known for label in labels]
    parts = np.where(np.arange(len(labels)) < n_train, "train", np.where(usable, "valid", "unused"))
    if "valid" not in parts:
        rng = np.random.default_rng(seed)
        for label in sorted(set(labels[:n_train])):
            rows = np.flatnonzero(np.array(labels[:n_train]) == label)
            parts[rng.permutation(rows)[: round(SHARE * len(rows))]] = "valid"
    for part in ("train", "valid"):
        rows = np.flatnonzero(parts == part)
        if len(rows) % batch_size == 1:
            parts[rows[-1]] = "unused"
    return parts


def draw_counts(mean: np.ndarray, dispersion: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw counts from the negative binomial that CPA learned.

    Parameters
    ----------
    mean
        (cells, genes).
    dispersion
        (genes,): theta in variance = mean + mean^2 / theta (`scvi.distributions.NegativeBinomial`).
    rng
        Draws a Poisson count around a gamma-distributed rate.
    """
    return rng.poisson(rng.gamma(dispersion, mean / dispersion)).astype(np.float64)


def to_log(predicted: np.ndarray, counts: sp.csr_matrix, expression: sp.csr_matrix) -> np.ndarray:
    """Bring counts that were predicted for control cells to the scale of their expression.

    X is log1p(counts / depth * 1e4) with a depth that may cover more genes than are measured here. The
    factor 1e4 / depth of a cell is sum(exp(X) - 1) / sum(counts), so that its own counts give X again.

    Parameters
    ----------
    predicted
        (cells, genes), at the library of the cell, which is the sum of its counts.
    counts, expression
        Counts and X of the cells, (cells, genes) CSR.

    Returns
    -------
    numpy.ndarray
        float32, (cells, genes); 0 for a cell without counts, whose depth nobody can know.
    """
    scaled = np.asarray(expression.astype(np.float64).expm1().sum(axis=1)).ravel()
    library = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    factor = np.divide(scaled, library, out=np.zeros_like(scaled), where=library > 0)
    return np.log1p(predicted * factor[:, None]).astype(np.float32)


def _package(job: Job) -> ModuleType:
    """Import cpa-tools, silent and with whatever it writes in the job's folder."""
    os.chdir(job.folder)
    os.environ["MPLCONFIGDIR"] = str(job.folder)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    try:
        import tkinter  # noqa: F401
    except ImportError:
        # The package imports a constant from it and never uses it; many Pythons come without.
        sys.modules["tkinter"] = ModuleType("tkinter")
        sys.modules["tkinter"].N = "n"  # type: ignore[attr-defined]
    import cpa

    cpa._model.tqdm = iter  # no bars of its own
    return cpa


def _label(text: str) -> str:
    return CONTROL if text == "control" else text


def _contexts(cells: Any) -> list[str]:
    """The context of each cell, which is a covariate to CPA."""
    return [context or ALL for context in cells.obs["context"]]


def _embedded(job: Job, labels: list[str]) -> tuple[list[str], np.ndarray | None]:
    """Genes that have an embedding, and the vectors of all rows of CPA's table where they are supplied."""
    if not job.about["gene_embeddings"]:
        return sorted({gene for label in labels for gene in label.split("+")} - {CONTROL}), None
    with open(job.about["gene_embeddings"], encoding="utf-8", newline="") as file:
        vectors = {line[0]: np.array(line[1:], dtype=np.float32) for line in csv.reader(file) if line}
    genes = sorted(vectors)
    width = len(vectors[genes[0]])
    return genes, np.stack([np.zeros(width), np.zeros(width), *(vectors[gene] for gene in genes)])


def _values(cells: Any, loss: str) -> sp.csr_matrix:
    """What CPA reads: counts, or log values for the Gaussian loss."""
    if loss == "gauss":
        return sp.csr_matrix(cells.X)
    if "counts" not in cells.layers:
        raise Refusal("CPA was trained on counts, but these cells have none; predict from cells with counts.")
    return sp.csr_matrix(cells.layers["counts"])


def _rows(genes: list[str]) -> dict[str, int]:
    """Row of each name in CPA's table of embeddings; row 0 stands for "no second gene"."""
    return {name: row for row, name in enumerate(["<PAD>", CONTROL, *genes])}


def _registered(
    cpa: ModuleType, values: sp.csr_matrix, labels: list[str], contexts: list[str], about: dict[str, Any]
) -> Any:
    """Make the AnnData that CPA wants; its class keeps encoders of earlier data, which are replaced.

    Covariates are numbered as in training, whichever are there.
    """
    import pandas as pd
    from anndata import AnnData

    columns = {
        "perturbation": labels,
        "dosage": ["+".join(["1.0"] * len(label.split("+"))) for label in labels],
        "covariate": pd.Categorical(contexts, categories=about["contexts"]),
    }
    adata = AnnData(values, obs=pd.DataFrame(columns, index=[str(row) for row in range(len(labels))]))
    cpa.CPA.pert_encoder = _rows(about["genes"])
    cpa.CPA.covars_encoder = None
    cpa.CPA.pert_smiles_map = {}  # None makes it look for molecules
    cpa.CPA.setup_anndata(
        adata,
        perturbation_key="perturbation",
        control_group=CONTROL,
        dosage_key="dosage",
        categorical_covariate_keys=["covariate"],
        is_count_data=about["recon_loss"] != "gauss",
        max_comb_len=GENES,
    )
    return adata


def _model(
    cpa: ModuleType, job: Job, adata: Any, loss: str, vectors: np.ndarray | None, **splits: str
) -> Any:
    """Build CPA; the seed goes in, since its networks set all generators to a seed of their own."""
    import torch

    table = None
    if vectors is not None:
        table = torch.nn.Embedding.from_pretrained(torch.tensor(vectors, dtype=torch.float32), padding_idx=0)
    network = {name: job.config[name] for name in NETWORK}
    return cpa.CPA(adata, recon_loss=loss, seed=job.seed, drug_embeddings=table, **network, **splits)


def _train(job: Job, model: Any) -> None:
    """Train; the package stops early and puts the best weights back, or the untrained ones if none was."""
    from pytorch_lightning.callbacks import LambdaCallback
    from scvi.train._callbacks import SaveBestState

    config = job.config
    plan = {name: config[name] for name in PLAN} | {
        "n_epochs_adv_warmup": config["n_epochs_adv_warmup"] or None,  # 0 is divided by
        "do_clip_grad": config["gradient_clip_value"] > 0,
        "gradient_clip_value": config["gradient_clip_value"],
        "n_epochs_verbose": config["max_epochs"] + 1,
    }
    with job.stage("train", config["max_epochs"]) as progress:
        model.train(
            max_epochs=config["max_epochs"],
            use_gpu=job.device == "cuda",
            batch_size=config["batch_size"],
            plan_kwargs=plan,
            save_path=False,
            check_val_every_n_epoch=config["check_val_every_n_epoch"],
            early_stopping_patience=config["early_stopping_patience"],
            enable_progress_bar=False,
            default_root_dir=str(job.folder),
            callbacks=[
                LambdaCallback(
                    on_train_epoch_end=lambda trainer, module: progress.advance(
                        loss=module.epoch_history["recon_loss"][-1]
                    )
                )
            ],
        )
    best = next(each for each in model.trainer.callbacks if isinstance(each, SaveBestState))
    if not np.isfinite(best.best_module_metric_val):
        raise Refusal(
            "CPA's training gave no epoch with a finite score on validation cells and so no weights (last "
            f"loss: {model.training_plan.epoch_history['recon_loss'][-1]:g}); lower lr."
        )


def _known(genes: list[str], row: dict[str, int]) -> list[str]:
    """The genes, or CPA's name for none; refused where one has no embedding."""
    unknown = [gene for gene in genes if gene not in row]
    if unknown:
        raise Refusal(f"CPA has no embedding of {' and '.join(unknown)}; supply one as gene_embeddings.")
    return genes or [CONTROL]


def _relabel(query: Any, rows: list[int]) -> None:
    """Put all cells under one perturbation, as `setup_anndata` does for its label."""
    padding = [0] * (GENES - len(rows))
    query.obsm["perts"] = np.tile([*rows, *padding], (query.n_obs, 1))
    query.obsm["perts_doses"] = np.tile([*([1.0] * len(rows)), *(0.0 * p for p in padding)], (query.n_obs, 1))
