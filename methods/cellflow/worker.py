"""The worker of CellFlow: the published package, in its own environment."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from launch import Best, Job, Refusal, by_context, genes_of, held_out, mean_cells

NONE = "control"
"""The token of no second gene, whose vector is zero."""
LOOKED_AT = 256
"""Control cells from which validation perturbations are predicted, at most, in each context."""
KEPT = ("pcs", "mean", "numbers", "contexts", "profiles", "size")
"""Names of what is kept beside the weights; the last three where there are several contexts."""


def fit(job: Job) -> None:
    """Train CellFlow; keep the weights of the best step, and the principal components."""
    _settle(job)
    import jax
    from cellflow.data._dataloader import TrainSampler

    vectors, train = job.vectors(), job.cells("train")
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # bars of its own
        model, axes = _prepared(job, train, vectors)
    look = _look(job, model.solver, axes, train, vectors)
    sampler = TrainSampler(model.train_data, batch_size=job.config["batch_size"])
    draws, key, best = np.random.default_rng(job.seed), jax.random.PRNGKey(job.seed), Best()
    steps, every = job.config["iterations"], job.config["check_every"]
    with job.stage("train", steps) as progress:
        for step in range(1, steps + 1):
            key, now = jax.random.split(key)
            loss = float(model.solver.step_fn(now, sampler.sample(draws)))
            progress.advance(loss=loss)
            if step % every == 0 or step == steps:
                best.offer(look(step), lambda: _arrays(model.solver.vf_state_inference.params))
    job.save_model(**axes, **best.chosen("CellFlow"))


def predict(job: Job) -> None:
    """Answer control cells as the flow moves them."""
    _settle(job)
    arrays, vectors = job.model(), job.vectors()
    axes = {name: arrays.pop(name) for name in KEPT if name in arrays}
    solver = _rebuilt(job, axes, arrays)
    cells = job.cells("control")
    control, context = cells.X.toarray(), str(cells.obs["context"].iloc[0])
    for index, genes in enumerate(job.perturbations):
        missing = [gene for gene in genes if gene not in vectors]
        if missing:
            raise Refusal(f"CellFlow was given no vector of {' and '.join(missing)}; set gene_vectors.")
        condition = _condition(genes, vectors, axes, context, control)
        job.answer(index, _moved(solver, axes, control, condition) if genes else control)


def _settle(job: Job) -> None:
    """Silence the package, and have its compiler keep to the threads; before it is imported."""
    os.chdir(job.folder)
    os.environ["MPLCONFIGDIR"] = str(job.folder)
    os.environ["JAX_PLATFORMS"] = "cpu"
    if job.threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


def _prepared(job: Job, train: Any, vectors: dict[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
    """CellFlow on the principal components of the training cells, and these with what else is kept.

    Of several contexts each has the control cells that are its own, and a profile that stands for it.
    """
    import cellflow
    import pandas as pd
    from anndata import AnnData
    from cellflow.preprocessing import centered_pca

    labels = train.obs["perturbation"].to_numpy(str)
    cells = AnnData(train.X.toarray(), obs=pd.DataFrame(index=[f"cell{row}" for row in range(train.n_obs)]))
    pairs = np.array([(sorted(genes_of(label)) + [NONE, NONE])[:2] for label in labels])
    for column, tokens in zip(("gene_1", "gene_2"), pairs.T, strict=True):
        cells.obs[column] = pd.Categorical(tokens)
    cells.obs["is_control"] = labels == "control"
    numbers = len(next(iter(vectors.values())))
    cells.uns["genes"] = {**vectors, NONE: np.zeros(numbers, np.float32)}
    centered_pca(cells, n_comps=min(job.config["n_pcs"], min(cells.shape) - 1))
    axes = {"pcs": np.asarray(cells.varm["PCs"]), "mean": np.asarray(cells.varm["X_mean"]).ravel()}
    axes["numbers"], of_contexts = np.array(numbers), {}
    contexts = train.obs["context"].to_numpy(str)
    if len(set(contexts)) > 1:
        axes |= _profiles(axes, by_context(train))
        cells.obs["context"] = pd.Categorical(contexts)
        cells.uns["profiles"] = dict(zip(axes["contexts"].tolist(), axes["profiles"], strict=True))
        # Control cells alone have nothing to be moved to; the package stops where it meets them.
        cells = cells[np.isin(contexts, contexts[labels != "control"])].copy()
        cells.obs["context"] = cells.obs["context"].cat.remove_unused_categories()
        of_contexts = {
            "sample_covariates": ["context"],
            "sample_covariate_reps": {"context": "profiles"},
            "split_covariates": ["context"],
        }
    model = cellflow.model.CellFlow(cells, solver="otfm")
    model.prepare_data(
        sample_rep="X_pca",
        control_key="is_control",
        perturbation_covariates={"gene": ("gene_1", "gene_2")},
        perturbation_covariate_reps={"gene": "genes"},
        **of_contexts,
    )
    model.prepare_model(
        probability_path={"constant_noise": job.config["constant_noise"]},
        match_fn=_matching(job),
        optimizer=_optimiser(job),
        solver_kwargs={"ema": job.config["ema"]},
        seed=job.seed,
        **_network(job, axes),
    )
    return model, axes


def _profiles(axes: dict[str, np.ndarray], parts: dict[str, Any]) -> dict[str, np.ndarray]:
    """Names and profiles of contexts: principal components of mean control cells, of length 1 at most."""
    means = np.stack([mean_cells(part)["control"] for part in parts.values()])
    found = (means - axes["mean"]) @ axes["pcs"]
    size = np.linalg.norm(found, axis=1).max()
    return {"contexts": np.array(list(parts)), "profiles": np.float32(found / size), "size": size}


def _network(job: Job, axes: dict[str, np.ndarray]) -> dict[str, Any]:
    """The sizes of the velocity field, under the package's names."""
    width = job.config["width"]
    layer = ({"layer_type": "mlp", "dims": [width, width], "dropout_rate": 0.0},)
    after = ({"layer_type": "mlp", "dims": [width], "dropout_rate": 0.0},)
    return {
        "pooling": "attention_token",
        "layers_before_pool": {"gene": layer, **({"context": layer} if "contexts" in axes else {})},
        "layers_after_pool": after,
        "condition_embedding_dim": width,
        "cond_output_dropout": 0.0,
        "time_freqs": job.config["time_freqs"],
        "time_encoder_dims": (width, width),
        "hidden_dims": (width, width),
        "decoder_dims": (width, width),
    }


def _matching(job: Job) -> Any:
    from cellflow.utils import match_linear

    return lambda source, target: match_linear(
        source, target, epsilon=job.config["epsilon"], scale_cost="mean"
    )


def _optimiser(job: Job) -> Any:
    import optax

    return optax.adam(optax.cosine_decay_schedule(job.config["lr"], job.config["iterations"]))


def _look(
    job: Job, solver: Any, axes: dict[str, np.ndarray], train: Any, vectors: dict[str, np.ndarray]
) -> Any:
    """A function of the step: the squared error of the means of validation perturbations."""
    asked = [
        (each, _condition(each.genes, vectors, axes, each.context, each.control))
        for each in held_out(job, train, LOOKED_AT)
        if vectors.keys() >= set(each.genes)
    ]

    def look(step: int) -> float:
        errors = [each.error(_moved(solver, axes, each.control, condition)) for each, condition in asked]
        return float(np.mean(errors)) if errors else -float(step)

    return look


def _condition(
    genes: list[str], vectors: dict[str, np.ndarray], axes: dict[str, np.ndarray], context: str, control: Any
) -> dict[str, np.ndarray]:
    """Vectors of both genes, (1, 2, numbers), and where there are several contexts the profile of this one.

    A context of which no control cells were in training has the profile of those that are given.
    """
    zero = [np.zeros(int(axes["numbers"]), np.float32)] * 2
    found = {"gene": np.stack([*(vectors[gene] for gene in sorted(genes)), *zero][:2])[None]}
    if "contexts" in axes:
        known = dict(zip(axes["contexts"].tolist(), axes["profiles"], strict=True))
        here = (control.mean(axis=0) - axes["mean"]) @ axes["pcs"] / axes["size"]
        found["context"] = np.tile(known.get(context, np.float32(here)), (1, 2, 1))
    return found


def _moved(
    solver: Any, axes: dict[str, np.ndarray], cells: np.ndarray, condition: dict[str, np.ndarray]
) -> np.ndarray:
    """Control cells under a condition, (cells, genes), log1p CP10K."""
    moved = np.asarray(solver.predict((cells - axes["mean"]) @ axes["pcs"], condition))
    return np.maximum(moved @ axes["pcs"].T + axes["mean"], 0)


def _arrays(parameters: Any) -> dict[str, np.ndarray]:
    """Weights by their path."""
    import jax

    leaves, _ = jax.tree_util.tree_flatten_with_path(parameters)
    return {"/".join(each.key for each in path): np.asarray(value).copy() for path, value in leaves}


def _rebuilt(job: Job, axes: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> Any:
    """The solver with weights, without training cells."""
    import jax
    from cellflow._compat import ConstantNoiseFlow
    from cellflow.networks import ConditionalVelocityField
    from cellflow.solvers import OTFlowMatching
    from flax.traverse_util import unflatten_dict

    field = ConditionalVelocityField(
        output_dim=axes["pcs"].shape[1], max_combination_length=2, **_network(job, axes)
    )
    conditions = {"gene": np.zeros((1, 2, int(axes["numbers"])), np.float32)}
    if "contexts" in axes:
        conditions["context"] = np.zeros((1, 2, axes["profiles"].shape[1]), np.float32)
    solver = OTFlowMatching(
        vf=field,
        match_fn=_matching(job),
        probability_path=ConstantNoiseFlow(job.config["constant_noise"]),
        optimizer=_optimiser(job),
        conditions=conditions,
        rng=jax.random.PRNGKey(0),
    )
    parameters = unflatten_dict(weights, sep="/")
    solver.vf_state_inference = solver.vf_state_inference.replace(params=parameters)
    return solver
