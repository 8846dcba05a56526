"""Learns what GRNFlow generates around, from mean changes and mean latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from methods._effects import FEWEST_DOUBLES, FOLDS, Base, Folds, count_doubles, own_effects
from methods._flow.readout import ReadoutOptions
from methods._grnflow.learned_centre import LearnedCentre, Units
from methods._pseudobulk import Changes
from methods._readout_learner import ReadoutLearner, better

LEAST_SPREAD = 0.1
"""Least deviation around a mean, of the size of 1: paths to points are steep at their end."""


@dataclass(frozen=True)
class CentreLearner:
    """Learns a centre.

    Attributes
    ----------
    bases
        Ways to fit effects, of which the best on doubles is taken.
    options
        Of the readout.
    seed
        Of the readout.
    """

    bases: Sequence[Base]
    options: ReadoutOptions
    seed: int

    def learn(self, changes: Changes, latents: Tensor, units: Units) -> tuple[LearnedCentre, Tensor]:
        """Learn a centre, and tell each training perturbation what effects say that have not seen it.

        Parameters
        ----------
        changes
            Mean changes of the training perturbations.
        latents
            Of the same, standardised, (perturbations, latents, genes, d). The readout reads them where
            cross-validation has a clear lead for that.
        units
            Of the flow.

        Returns
        -------
        tuple
            The centre, and float32 (perturbations, genes, 1 + 15 + d). Singles, and all where there are too
            few doubles to hold some out, are told what effects say that have seen them.
        """
        of_latents = mean_latents(changes, latents)
        if count_doubles(changes) < FEWEST_DOUBLES:
            effects, on_latents = own_effects(changes), own_effects(of_latents)
            centre = LearnedCentre(effects, on_latents, None, "plain", 0).with_differences(changes)
            return centre, _stack([centre.told(p, units) for p in changes.perturbations])
        folds = self._folds(changes)
        latent_folds = Folds(of_latents, folds.base)
        expected = unseen(latent_folds, of_latents).unflatten(1, latents.shape[2:])
        spread = spread_around(latents, expected).numpy()
        plain = ReadoutLearner(folds, self.options, self.seed)
        reading = replace(
            plain,
            latents=lambda double, left_out: latent_folds.effects(*left_out).change(double),
            spread=spread,
        )
        learner, steps = better(plain, reading)
        readout = learner.train((steps,), range(FOLDS))[0] if steps else None
        centre = LearnedCentre(folds.effects(), latent_folds.effects(), readout, folds.base, steps)
        centre = centre.with_differences(changes)
        blind = [
            replace(centre, effects=folds.unseen(p), latent_effects=latent_folds.unseen(p))
            for p in changes.perturbations
        ]
        return centre, _stack(
            [each.told(p, units) for each, p in zip(blind, changes.perturbations, strict=True)]
        )

    def complete(
        self, centre: LearnedCentre, changes: Changes, seen: Changes, latents: Tensor
    ) -> LearnedCentre:
        """Learn the effects on expression and the readout again, and for how many steps, from more of them.

        Effects on latents stay. They have not seen the perturbations that are new, so that what they say of
        them is as uncertain as what they will say in prediction.

        Parameters
        ----------
        centre
            What was learned before; where its readout does not read latents, or there is none, neither does
            the new one.
        changes
            Mean changes of all perturbations.
        seen, latents
            Those that latents are known of, and these, as in `learn`.
        """
        if count_doubles(changes) < FEWEST_DOUBLES:
            return replace(centre, effects=own_effects(changes)).with_differences(changes)
        folds = Folds(changes, centre.base)
        learner = ReadoutLearner(folds, self.options, self.seed)
        if centre.readout is not None and centre.readout.reads_latent:
            of_latents = mean_latents(seen, latents)
            latent_folds = Folds(of_latents, centre.base)
            expected = unseen(latent_folds, of_latents).unflatten(1, latents.shape[2:])
            learner = replace(
                learner,
                latents=lambda double, _: latent_folds.unseen(double).change(double),
                spread=spread_around(latents, expected).numpy(),
            )
        steps = learner.best_steps()
        readout = learner.train((steps,), range(FOLDS))[0] if steps else None
        completed = replace(centre, effects=folds.effects(), readout=readout, steps=steps)
        return completed.with_differences(changes)

    def _folds(self, changes: Changes) -> Folds:
        found = [Folds(changes, base) for base in self.bases]
        return min(found, key=lambda each: each.error()) if len(found) > 1 else found[0]


def spread_around(points: Tensor, means: Tensor) -> Tensor:
    """Deviation of latents (perturbations, latents, genes, d) from (perturbations, genes, d): (genes, d)."""
    squares = torch.stack(
        [(some.float() - mean).square().mean(0) for some, mean in zip(points, means, strict=True)]
    )
    return squares.mean(0).sqrt().clamp(min=LEAST_SPREAD)


def mean_latents(changes: Changes, latents: Tensor) -> Changes:
    """Mean latents of perturbations as if they were changes, (perturbations, genes * d)."""
    means = latents.float().mean(dim=1).flatten(1)
    return Changes(changes.perturbations, means.double().numpy(), changes.control_mean)


def unseen(folds: Folds, changes: Changes) -> Tensor:
    """What effects say that have not seen it, if it is a double: (perturbations, genes * d)."""
    said = [folds.unseen(p).change(p) for p in changes.perturbations]
    return torch.from_numpy(np.stack(said)).float()


def _stack(told: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(told))
