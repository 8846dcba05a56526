"""The worker of biolord: the published package, in its own environment."""

from __future__ import annotations

import json
import logging
import os
import warnings
from typing import Any

import numpy as np
from launch import Best, Job, Refusal, genes_of, mean_cells

NETWORK = (
    "n_latent_attribute_ordered", "decoder_width", "decoder_depth", "attribute_nn_width",
    "attribute_nn_depth", "attribute_dropout_rate", "reconstruction_penalty", "unknown_attribute_penalty",
    "unknown_attribute_noise_param", "use_batch_norm", "use_layer_norm",
)  # fmt: skip
"""Hyper-parameters that go to biolord's networks under the same name."""
PLAN = (
    "latent_lr", "latent_wd", "decoder_lr", "decoder_wd", "attribute_nn_lr", "attribute_nn_wd",
    "step_size_lr", "cosine_scheduler", "scheduler_final_lr",
)  # fmt: skip
"""Hyper-parameters that go to biolord's training plan under the same name."""
LOSS = "reconstruction_loss"
"""What the training plan calls its loss."""
LATENTS = "latent_codes.embedding.weight"
"""The latents of cells among biolord's weights."""


def fit(job: Job) -> None:
    """Train biolord; keep the weights of the best epoch and the latents of control cells."""
    biolord = _package(job)
    vectors, train, validation = job.vectors(), job.cells("train"), job.cells("validation")
    if train.n_obs % job.config["batch_size"] == 1:
        train = train[:-1]
    labels = train.obs["perturbation"].to_numpy(str)
    control = np.flatnonzero(labels == "control")
    model = _model(biolord, job, train, vectors)
    means = mean_cells(train)["control"], mean_cells(validation)
    best = Best()

    def look(epoch: int) -> None:
        weights = {name: value.cpu().numpy().copy() for name, value in model.module.state_dict().items()}
        weights[LATENTS] = weights[LATENTS][control]
        predicted = {label: _change(model.module, control, genes_of(label), vectors) for label in usable}
        errors = [np.mean((means[0] + predicted[label] - means[1][label]) ** 2) for label in usable]
        best.offer(float(np.mean(errors)) if errors else -epoch, lambda: weights)

    usable = [label for label in means[1] if vectors.keys() >= set(genes_of(label))]
    _train(job, model, look)
    about = {"n_genes": train.n_vars, "numbers": len(next(iter(vectors.values())))}
    job.save_model(about=np.array(json.dumps(about)), **best.chosen("biolord"))


def predict(job: Job) -> None:
    """Answer the mean change of each perturbation, (genes,)."""
    biolord = _package(job)
    import torch

    weights, vectors = job.model(), job.vectors()
    about = json.loads(str(weights.pop("about")))
    module = biolord.BiolordModule(
        about["n_genes"],
        len(weights[LATENTS]),
        "X",
        ordered_attributes_map={"perturbation": about["numbers"]},
        categorical_attributes_map={},
        **_network(job),
    )
    module.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})
    module.to(job.device).eval()
    cells = np.arange(len(weights[LATENTS]))
    for index, genes in enumerate(job.perturbations):
        missing = [gene for gene in genes if gene not in vectors]
        if missing:
            raise Refusal(f"biolord was given no vector of {' and '.join(missing)}; set gene_vectors.")
        job.answer(index, _change(module, cells, genes, vectors, about["numbers"]))


def _package(job: Job) -> Any:
    """Import biolord, silent and with whatever it writes in the job's folder."""
    os.chdir(job.folder)
    os.environ["MPLCONFIGDIR"] = str(job.folder)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    import biolord

    return biolord


def _network(job: Job) -> dict[str, Any]:
    """What the network is made of; the seed goes in, since it sets all generators to a seed of its own."""
    return {
        **{name: job.config[name] for name in NETWORK},
        "n_latent": job.config["n_latent"],
        "gene_likelihood": "normal",
        "seed": job.seed,
    }


def _model(biolord: Any, job: Job, train: Any, vectors: dict[str, np.ndarray]) -> Any:
    """Build biolord on dense cells, each with the vector of its perturbation."""
    from anndata import AnnData

    cells = AnnData(train.X.toarray())
    labels = train.obs["perturbation"].to_numpy(str)
    cells.obsm["perturbation"] = np.stack([_vector(genes_of(label), vectors) for label in labels])
    biolord.Biolord.setup_anndata(cells, ordered_attributes_keys=["perturbation"])
    network = _network(job)
    return biolord.Biolord(cells, n_latent=network.pop("n_latent"), module_params=network)


def _train(job: Job, model: Any, look: Any) -> None:
    """Train on all cells, and look at the validation perturbations now and then, and at the end."""
    from lightning.pytorch.callbacks import LambdaCallback

    epochs, every = job.config["max_epochs"], job.config["check_every"]
    with job.stage("train", epochs) as progress:

        def after(trainer: Any, plan: Any) -> None:
            epoch = trainer.current_epoch + 1
            progress.advance(loss=np.mean([each[LOSS] for each in plan.training_step_outputs]))
            if epoch % every == 0 or epoch == epochs:
                look(epoch)

        model.train(
            max_epochs=epochs,
            batch_size=job.config["batch_size"],
            train_size=1.0,
            plan_kwargs={**{name: job.config[name] for name in PLAN}, "scheduler_max_epochs": epochs},
            accelerator="gpu" if job.device == "cuda" else "cpu",
            enable_checkpointing=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            default_root_dir=str(job.folder),
            callbacks=[LambdaCallback(on_train_epoch_end=after)],
        )


def _vector(genes: list[str], vectors: dict[str, np.ndarray], numbers: int = 0) -> np.ndarray:
    """The sum of the vectors of genes."""
    numbers = numbers or len(next(iter(vectors.values())))
    return sum((vectors[gene] for gene in genes), np.zeros(numbers, np.float32))


def _change(
    module: Any, cells: np.ndarray, genes: list[str], vectors: dict[str, np.ndarray], numbers: int = 0
) -> np.ndarray:
    """Mean of control cells decoded under a perturbation minus under none, (genes,); draws no number."""
    import torch

    numbers = numbers or len(next(iter(vectors.values())))

    def decoded(vector: np.ndarray) -> np.ndarray:
        query = {
            "X": torch.ones(len(cells), module.n_genes),  # its sum would be the library of counts
            "ind_x": torch.as_tensor(cells)[:, None],
            "perturbation": torch.as_tensor(vector).repeat(len(cells), 1),
        }
        with torch.no_grad(), torch.random.fork_rng():
            means, _ = module.get_expression({name: value.to(module.device) for name, value in query.items()})
        return means.double().mean(dim=0).cpu().numpy()

    training = module.training
    module.eval()
    change = decoded(_vector(genes, vectors, numbers)) - decoded(np.zeros(numbers, np.float32))
    module.train(training)
    return change
