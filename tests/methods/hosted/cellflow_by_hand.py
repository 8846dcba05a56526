"""Drives the published package of CellFlow in its environment, for the parity test; see ``driving.py``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.update(
    JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import anndata
import cellflow
import jax
import numpy as np
import optax
import pandas as pd
from cellflow.data._dataloader import TrainSampler
from cellflow.preprocessing import centered_pca, project_pca
from cellflow.utils import match_linear


def tokens(label: str) -> list[str]:
    """Both genes of a label, in alphabetical order."""
    return [*sorted(gene for gene in label.split("+") if gene != "control"), "control", "control"][:2]


def main(folder: Path) -> None:
    """Train on the cells of the folder, choose the step on validation, and predict what is asked for."""
    os.chdir(folder)
    task = json.loads(Path("task.json").read_text())
    train, validation, control = (
        anndata.read_h5ad(f"{part}.h5ad") for part in ("train", "validation", "control")
    )
    labels = train.obs["perturbation"].to_numpy(str)
    genes = sorted({gene for label in labels for gene in tokens(label)} - {"control"})
    vectors = dict(zip(genes, np.eye(len(genes), dtype=np.float32), strict=True))
    pairs = pd.DataFrame(
        [tokens(label) for label in labels], columns=["gene_1", "gene_2"], index=train.obs_names
    )
    for column in pairs:
        train.obs[column] = pd.Categorical(pairs[column])
    train.obs["is_control"] = labels == "control"
    train.uns["vectors"] = {**vectors, "control": np.zeros(len(genes), np.float32)}
    centered_pca(train, n_comps=task["n_pcs"])
    model = cellflow.model.CellFlow(train, solver="otfm")
    model.prepare_data(
        sample_rep="X_pca",
        control_key="is_control",
        perturbation_covariates={"gene": ("gene_1", "gene_2")},
        perturbation_covariate_reps={"gene": "vectors"},
    )
    wide = task["width"]
    model.prepare_model(
        pooling="attention_token",
        layers_before_pool={"gene": ({"layer_type": "mlp", "dims": [wide, wide], "dropout_rate": 0.0},)},
        layers_after_pool=({"layer_type": "mlp", "dims": [wide], "dropout_rate": 0.0},),
        condition_embedding_dim=wide,
        cond_output_dropout=0.0,
        time_freqs=task["time_freqs"],
        time_encoder_dims=(wide, wide),
        hidden_dims=(wide, wide),
        decoder_dims=(wide, wide),
        probability_path={"constant_noise": task["constant_noise"]},
        match_fn=lambda x, y: match_linear(x, y, epsilon=task["epsilon"], scale_cost="mean"),
        optimizer=optax.adam(optax.cosine_decay_schedule(task["lr"], task["iterations"])),
        solver_kwargs={"ema": task["ema"]},
        seed=task["seed"],
    )
    sampler = TrainSampler(model.train_data, batch_size=task["batch_size"])
    draws, key, kept = np.random.default_rng(task["seed"]), jax.random.PRNGKey(task["seed"]), []
    for _ in range(task["iterations"]):
        key, now = jax.random.split(key)
        model.solver.step_fn(now, sampler.sample(draws))
        kept.append(model.solver.vf_state_inference)
    model.solver.is_trained = True

    def means(state: object, asked: list[str], cells: anndata.AnnData) -> np.ndarray:
        model.solver.vf_state_inference = state
        query = cells.copy()
        project_pca(query, ref_adata=train)
        query.obs["is_control"], query.uns["vectors"] = True, train.uns["vectors"]
        columns = pd.DataFrame([tokens(label) for label in asked], columns=["gene_1", "gene_2"])
        columns = columns.assign(is_control=False, condition=asked)
        out = model.predict(query, columns, sample_rep="X_pca", condition_id_key="condition")
        axes, centre = np.asarray(train.varm["PCs"]), np.asarray(train.varm["X_mean"]).ravel()
        cut = {name: np.maximum(np.asarray(cells) @ axes.T + centre, 0) for name, cells in out.items()}
        return np.stack([cut[label].mean(axis=0, dtype=np.float64) for label in asked])

    names = validation.obs["perturbation"].to_numpy(str)
    wanted = sorted(set(names))
    real = np.stack([validation.X[names == label].mean(axis=0) for label in wanted])
    looked_at = kept[task["check_every"] - 1 :: task["check_every"]]
    controls = train[labels == "control"]
    errors = [np.mean((means(state, wanted, controls) - real) ** 2) for state in looked_at]
    best = looked_at[int(np.argmin(errors))]
    np.save("answers.npy", means(best, task["ask"], control))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
