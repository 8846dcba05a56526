"""How well a latent is known before it is generated, and how near to that it is generated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.perturbation import Perturbation
from methods._effects import FEWEST_DOUBLES, Folds, count_doubles
from methods._flow.backbone import Flow
from methods._flow.paths import antithetic
from methods._flow.randomness import seeded_generator
from methods._flow.sampling import SamplingOptions, trace_cascade
from methods._grnflow.centre_learner import mean_latents, unseen
from methods._grnflow.validation import Asks
from methods._pseudobulk import Changes


def r2(said: np.ndarray, real: np.ndarray) -> float | None:
    """One minus squared error over squares around the one mean of all numbers; None where these are equal."""
    squares = float(np.square(real - real.mean()).sum())
    return 1 - float(np.square(real - said).sum()) / squares if squares else None


def held_out_r2(changes: Changes, latents: Tensor, told: Tensor) -> dict[str, float]:
    """R^2 of the mean latents of training doubles, each predicted without it.

    Parameters
    ----------
    changes
        Mean changes of the training perturbations.
    latents
        Of the same, standardised, (perturbations, latents, genes, d).
    told
        What a centre tells of them, (perturbations, genes, 1 + 15 + d); of doubles by effects that have not
        seen them.

    Returns
    -------
    dict
        ``latent_r2`` of what is told, and ``ridge_latent_r2`` of a ridge regression on the same folds. Empty
        where there are too few doubles to hold some out, or where their latents are all the same.
    """
    if count_doubles(changes) < FEWEST_DOUBLES:
        return {}
    doubles = np.array([p.is_double for p in changes.perturbations])
    of_latents = mean_latents(changes, latents)
    ridge = unseen(Folds(of_latents, "plain"), of_latents).numpy()
    own = told[..., -latents.shape[-1] :].flatten(1).numpy()
    real = of_latents.values[doubles]
    return _defined(latent_r2=r2(own[doubles], real), ridge_latent_r2=r2(ridge[doubles], real))


def generated_r2(
    method: Asks,
    flow: Flow,
    asked: Sequence[tuple[Perturbation, Tensor]],
    context: Tensor | None,
    options: SamplingOptions,
) -> dict[str, float]:
    """R^2 between the mean of latents that a flow generates and what it is told of them.

    Noise is drawn in pairs of opposites, so that the mean of few cells is hardly that of their noise.

    Parameters
    ----------
    method
        Tells of perturbations.
    flow
        A trained flow, where the work is done.
    asked
        The perturbations, each with control cells in the flow's units, (cells, genes).
    context, options
        As `trace_cascade` takes them.

    Returns
    -------
    dict
        ``generated_latent_r2`` over all of them; empty without any, or where the same is told of all.
    """
    generated, told = [], []
    for perturbation, start in asked:
        generator = seeded_generator(0, f"latent of {perturbation}")
        x0, z0 = (
            antithetic(shape, generator) for shape in (start.shape, (*start.shape, method.shape_.latent))
        )
        given = method.around(start, perturbation)
        tokens = torch.tensor([method.tokens(perturbation)])
        latent, _ = trace_cascade(flow, given, tokens, x0, z0, context, options)
        generated.append(latent[-1].float().mean(0).numpy())
        told.append(given[0, :, -method.shape_.latent :].numpy())
    return _defined(generated_latent_r2=r2(np.stack(generated), np.stack(told))) if asked else {}


def _defined(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}
