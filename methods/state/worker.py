"""The worker of STATE: the published package, in its own environment."""

from __future__ import annotations

import json
import logging
import os
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from launch import Best, Job, Refusal, by_context, genes_of

UNUSED = "embed_tokens.weight"
"""Ends the name of the table of tokens, which nothing reads."""
NETWORK = ("cell_set_len", "hidden_dim", "n_encoder_layers", "n_decoder_layers")
"""Hyper-parameters that go to the model under the same name."""
BACKBONE = ("num_hidden_layers", "num_attention_heads", "intermediate_size")
"""Hyper-parameters that go to its transformer under the same name."""
TRAINING = ("batch_size", "max_steps", "val_freq", "lr", "weight_decay")
"""Hyper-parameters that go to its training under the same name."""


def fit(job: Job) -> None:
    """Have STATE train, and keep the weights of the step with the least validation loss."""
    _settle(job)
    usable = _write_cells(job)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        from state.__main__ import load_hydra_config
        from state._cli._tx._train import run_tx_train

        best, kept = Best(), {}
        with job.stage("train", job.config["max_steps"]) as progress:
            _watch(job, progress, best, kept, bool(usable))
            run_tx_train(load_hydra_config("tx", [f"{key}={value}" for key, value in _settings(job).items()]))
    hparams = {name: value for name, value in kept["hparams"].items() if name != "gene_names"}
    job.save_model(about=np.array(json.dumps(hparams)), **best.chosen("STATE"))


def predict(job: Job) -> None:
    """Answer control cells as STATE moves them, in sets of the trained size."""
    _settle(job)
    import torch

    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        from state.tx.models.state_transition import StateTransitionPerturbationModel

        arrays, vectors = job.model(), job.vectors()
        model = StateTransitionPerturbationModel(**json.loads(str(arrays.pop("about"))))
    model.load_state_dict({name: torch.as_tensor(value) for name, value in arrays.items()}, strict=False)
    model.to(job.device).eval()
    control = job.cells("control").X.toarray()
    size = model.cell_sentence_len
    sets = np.resize(np.arange(len(control)), -(-len(control) // size) * size).reshape(-1, size)
    for index, genes in enumerate(job.perturbations):
        missing = [gene for gene in genes if gene not in vectors]
        if missing:
            raise Refusal(f"STATE was given no vector of {' and '.join(missing)}; set gene_vectors.")
        vector = torch.as_tensor(sum((vectors[gene] for gene in genes), np.zeros(model.pert_dim, np.float32)))
        answers = [_moved(model, control[rows], vector, "+".join(genes) or "control") for rows in sets]
        job.answer(index, np.maximum(np.concatenate(answers)[: len(control)], 0))


def _moved(model: Any, cells: np.ndarray, vector: Any, label: str) -> np.ndarray:
    """One set of control cells under a perturbation, (cells, genes)."""
    import torch

    batch = {
        "ctrl_cell_emb": torch.as_tensor(cells).to(model.device),
        "pert_emb": vector.repeat(len(cells), 1).to(model.device),
        "pert_name": [label] * len(cells),
    }
    with torch.no_grad():
        return model.predict_step(batch, 0, padded=False)["preds"].cpu().numpy()


def _settle(job: Job) -> None:
    """Silence the package, and keep it off networks and, on the CPU, GPUs."""
    os.chdir(job.folder)
    os.environ.update(
        WANDB_MODE="disabled", HF_HUB_OFFLINE="1", TQDM_DISABLE="1", MPLCONFIGDIR=str(job.folder)
    )
    if job.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


def _write_cells(job: Job) -> list[str]:
    """Write cells, vectors and the split as the package reads them; returns the validation perturbations."""
    import pandas as pd
    import torch
    from anndata import AnnData, concat

    vectors, train, validation = job.vectors(), job.cells("train"), job.cells("validation")
    labels = sorted(set(validation.obs["perturbation"]))
    usable = [label for label in labels if vectors.keys() >= set(genes_of(label))]
    cells = concat([train, validation[validation.obs["perturbation"].isin(usable)]])
    # Its configuration cannot write all names of contexts, and its network reads none.
    contexts = sorted(set(cells.obs["context"]))
    types = {context: f"context{place}" if context else "all" for place, context in enumerate(contexts)}
    columns = {
        "perturbation": cells.obs["perturbation"].to_numpy(object),
        "cell_type": cells.obs["context"].map(types).to_numpy(object),
        "batch": "all",
    }
    obs = pd.DataFrame(columns, index=[f"cell{row}" for row in range(cells.n_obs)]).astype("category")
    written = AnnData(cells.X.tocsr(), obs=obs, var=cells.var)
    written.obsm["X_hvg"] = cells.X.toarray()
    written.write_h5ad(job.folder / "cells.h5ad")
    zero = np.zeros(len(next(iter(vectors.values()))), np.float32)
    features = {
        str(label): torch.as_tensor(sum((vectors[gene] for gene in genes_of(label)), zero))
        for label in sorted(set(columns["perturbation"]))
    }
    torch.save(features, job.folder / "features.pt")
    place = json.dumps(str(job.folder / "cells.h5ad"))
    text = f'[datasets]\ncells = {place}\n[training]\ncells = "train"\n[zeroshot]\n'
    validated = {name: set(part.obs["perturbation"]) for name, part in by_context(validation).items()}
    for context, name in types.items():
        held_out = sorted(validated.get(context, set()).intersection(usable))
        text += f'[fewshot."cells.{name}"]\nval = {json.dumps(held_out)}\ntest = []\n'
    (job.folder / "split.toml").write_text(text, encoding="utf-8")
    return usable


def _settings(job: Job) -> dict[str, Any]:
    """What the package's own command line would be told."""
    config, folder = job.config, job.folder
    heads = config["num_attention_heads"]
    return {
        "output_dir": _quoted(folder),
        "name": "run",
        "use_wandb": "false",
        "overwrite": "true",
        "data.kwargs.toml_config_path": _quoted(folder / "split.toml"),
        "data.kwargs.perturbation_features_file": _quoted(folder / "features.pt"),
        "data.kwargs.embed_key": "X_hvg",
        "data.kwargs.output_space": "gene",
        "data.kwargs.num_workers": 0,
        "data.kwargs.pert_col": "perturbation",
        "data.kwargs.cell_type_key": "cell_type",
        "data.kwargs.batch_col": "batch",
        "data.kwargs.control_pert": "control",
        "training.train_seed": job.seed,
        "model": "state",
        "+model.kwargs.gene_decoder_bool": "false",
        "+model.kwargs.transformer_backbone_kwargs.vocab_size": 8,
        "model.kwargs.transformer_backbone_kwargs.num_key_value_heads": heads,
        "model.kwargs.transformer_backbone_kwargs.head_dim": config["hidden_dim"] // heads,
        **{f"model.kwargs.{name}": config[name] for name in NETWORK},
        **{f"model.kwargs.transformer_backbone_kwargs.{name}": config[name] for name in BACKBONE},
        **{f"training.{name}": config[name] for name in TRAINING},
    }


def _quoted(path: Path) -> str:
    """A path as the package's command line reads it, whatever is in it."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _watch(job: Job, progress: Any, best: Best, kept: dict[str, Any], validated: bool) -> None:
    """Have the package's training tell of every step, and offer weights after every validation."""
    import state.tx.utils as utils
    from lightning.pytorch.callbacks import Callback

    def weights(model: Any) -> dict[str, np.ndarray]:
        state = model.state_dict().items()
        return {name: value.cpu().numpy().copy() for name, value in state if not name.endswith(UNUSED)}

    class Watch(Callback):
        dirpath = str(job.folder / "run" / "checkpoints")  # the package asks its first callback

        def on_train_batch_end(self, trainer: Any, model: Any, outputs: Any, *_: Any) -> None:
            progress.advance(loss=float(outputs["loss"]))

        def on_validation_end(self, trainer: Any, model: Any) -> None:
            if validated and not trainer.sanity_checking:
                best.offer(float(trainer.callback_metrics["val_loss"]), lambda: weights(model))

        def on_train_end(self, trainer: Any, model: Any) -> None:
            kept["hparams"] = dict(model.hparams)
            if not validated:
                best.offer(0.0, lambda: weights(model))

    utils.get_checkpoint_callbacks = lambda *_: [Watch()]
