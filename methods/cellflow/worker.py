"""The worker of CellFlow: the published package, in its own environment."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from launch import Best, Job, Refusal, genes_of, mean_cells

NONE = "control"
"""The token of no second gene, whose vector is zero."""
LOOKED_AT = 256
"""Control cells from which validation perturbations are predicted, at most."""


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
    axes = {name: arrays.pop(name) for name in ("pcs", "mean")}
    numbers = int(arrays.pop("numbers"))
    solver = _rebuilt(job, axes, numbers, arrays)
    control = job.cells("control").X.toarray()
    for index, genes in enumerate(job.perturbations):
        missing = [gene for gene in genes if gene not in vectors]
        if missing:
            raise Refusal(f"CellFlow was given no vector of {' and '.join(missing)}; set gene_vectors.")
        job.answer(
            index, _moved(solver, axes, control, _tokens(genes, vectors, numbers)) if genes else control
        )


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
    """CellFlow on the principal components of the training cells, and these with what else is kept."""
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
    model = cellflow.model.CellFlow(cells, solver="otfm")
    model.prepare_data(
        sample_rep="X_pca",
        control_key="is_control",
        perturbation_covariates={"gene": ("gene_1", "gene_2")},
        perturbation_covariate_reps={"gene": "genes"},
    )
    model.prepare_model(
        probability_path={"constant_noise": job.config["constant_noise"]},
        match_fn=_matching(job),
        optimizer=_optimiser(job),
        solver_kwargs={"ema": job.config["ema"]},
        seed=job.seed,
        **_network(job),
    )
    axes = {"pcs": np.asarray(cells.varm["PCs"]), "mean": np.asarray(cells.varm["X_mean"]).ravel()}
    return model, {**axes, "numbers": np.array(numbers)}


def _network(job: Job) -> dict[str, Any]:
    """The sizes of the velocity field, under the package's names."""
    width = job.config["width"]
    layer = ({"layer_type": "mlp", "dims": [width, width], "dropout_rate": 0.0},)
    after = ({"layer_type": "mlp", "dims": [width], "dropout_rate": 0.0},)
    return {
        "pooling": "attention_token",
        "layers_before_pool": {"gene": layer},
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
    control = train[(train.obs["perturbation"] == "control").to_numpy()].X[:LOOKED_AT].toarray()
    means = mean_cells(job.cells("validation"))
    usable = [label for label in means if vectors.keys() >= set(genes_of(label))]
    start = mean_cells(train)["control"] - control.mean(axis=0)  # of those that are not looked at, too
    numbers = int(axes["numbers"])

    def look(step: int) -> float:
        moved = (
            _moved(solver, axes, control, _tokens(genes_of(label), vectors, numbers)) for label in usable
        )
        errors = [
            np.mean((cells.mean(axis=0) + start - means[label]) ** 2)
            for label, cells in zip(usable, moved, strict=True)
        ]
        return float(np.mean(errors)) if errors else -float(step)

    return look


def _tokens(genes: list[str], vectors: dict[str, np.ndarray], numbers: int) -> np.ndarray:
    """Vectors of both tokens, (1, 2, numbers)."""
    zero = [np.zeros(numbers, np.float32)] * 2
    return np.stack([*(vectors[gene] for gene in sorted(genes)), *zero][:2])[None]


def _moved(solver: Any, axes: dict[str, np.ndarray], cells: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Control cells under a condition, (cells, genes), log1p CP10K."""
    moved = np.asarray(solver.predict((cells - axes["mean"]) @ axes["pcs"], {"gene": tokens}))
    return np.maximum(moved @ axes["pcs"].T + axes["mean"], 0)


def _arrays(parameters: Any) -> dict[str, np.ndarray]:
    """Weights by their path."""
    import jax

    leaves, _ = jax.tree_util.tree_flatten_with_path(parameters)
    return {"/".join(each.key for each in path): np.asarray(value).copy() for path, value in leaves}


def _rebuilt(job: Job, axes: dict[str, np.ndarray], numbers: int, weights: dict[str, np.ndarray]) -> Any:
    """The solver with weights, without training cells."""
    import jax
    from cellflow._compat import ConstantNoiseFlow
    from cellflow.networks import ConditionalVelocityField
    from cellflow.solvers import OTFlowMatching
    from flax.traverse_util import unflatten_dict

    field = ConditionalVelocityField(
        output_dim=axes["pcs"].shape[1], max_combination_length=2, **_network(job)
    )
    solver = OTFlowMatching(
        vf=field,
        match_fn=_matching(job),
        probability_path=ConstantNoiseFlow(job.config["constant_noise"]),
        optimizer=_optimiser(job),
        conditions={"gene": np.zeros((1, 2, numbers), np.float32)},
        rng=jax.random.PRNGKey(0),
    )
    parameters = unflatten_dict(weights, sep="/")
    solver.vf_state_inference = solver.vf_state_inference.replace(params=parameters)
    return solver
