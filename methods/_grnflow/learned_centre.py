"""What GRNFlow generates around: learned from mean changes and mean latents before any cell is generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from benchmark.perturbation import Perturbation
from methods._effects import FEWEST_DOUBLES, FOLDS, Base, Effects, Folds, count_doubles, own_effects
from methods._flow.centre import Centre
from methods._flow.readout import Readout, ReadoutOptions, ReadoutShape
from methods._overlap import N_SHAPES, shapes
from methods._pseudobulk import Changes
from methods._readout_learner import FittedReadout, ReadoutLearner, better

LEAST_SPREAD = 0.1
"""Least deviation around a mean, of the size of 1: paths to points are steep at their end."""


@dataclass(frozen=True)
class Units:
    """From changes of log1p CP10K to the units of a flow.

    Attributes
    ----------
    control_mean, mean, deviation
        Mean of the control cells, mean and deviation of all training cells, (genes,); 0 if constant.
    """

    control_mean: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    def place(self, change: np.ndarray) -> np.ndarray:
        """Where a mean lies that has changed so much, (genes,)."""
        return (self.control_mean + change - self.mean) * self.inverse

    @property
    def inverse(self) -> np.ndarray:
        """One over the deviation, 0 for a constant gene, (genes,)."""
        deviation = self.deviation.astype(np.float64)
        return np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)


@dataclass(frozen=True)
class LearnedCentre:
    """Effects on expression and on latents, and a readout of how they overlap.

    Attributes
    ----------
    effects
        Of all perturbations, log1p CP10K.
    latent_effects
        The same of the latents, (perturbed genes, genes * d).
    readout
        What a double's mean has beyond the sum of the effects; None where none has a clear lead.
    base, steps
        How effects were fitted, and for how many steps the readout was trained; 0 without one.
    """

    effects: Effects
    latent_effects: Effects
    readout: FittedReadout | None
    base: Base
    steps: int

    @property
    def about(self) -> str:
        """How it was learned, in words."""
        overlap = "that add up"
        if self.readout is not None:
            latents = "reads latents" if self.readout.reads_latent else "does not read latents"
            overlap = f"with a readout of {self.steps} steps that {latents}"
        return f"effects of the base '{self.base}' {overlap}"

    def told(self, perturbation: Perturbation, units: Units) -> np.ndarray:
        """Tell a perturbation as `Centre` reads it, float32 (genes, 1 + 15 + d)."""
        return _told(self.effects, self.latent_effects, self.readout, perturbation, units)

    def fill(self, centre: Centre, units: Units) -> None:
        """Give a flow the readout."""
        if self.readout is None:
            centre.units.zero_()
            return
        weights = self.readout.network.state_dict()
        known = weights["first.weight"]
        weights["first.weight"] = torch.zeros_like(centre.readout.first.weight, device=known.device)
        weights["first.weight"][:, : known.shape[1]] = known  # what it has not learned to read counts nothing
        centre.readout.load_state_dict(weights)
        centre.units.copy_(torch.from_numpy(self.readout.unit * units.inverse))

    def state(self) -> dict[str, Any]:
        """Everything as names, numbers and arrays."""
        kept: dict[str, Any] = {"names": self.effects.names, "base": self.base, "steps": self.steps}
        for name, effects in (("effects", self.effects), ("latent_effects", self.latent_effects)):
            kept |= {f"{name}.intercept": effects.intercept, f"{name}.values": effects.values}
        if self.readout is not None:
            network = self.readout.network
            shape = network.shape
            kept |= {"shape": [shape.inputs, shape.genes, shape.width, shape.vector]}
            kept |= {"scales": self.readout.scales, "unit": self.readout.unit}
            kept |= {"weights": parameters_to_vector(network.parameters()).numpy()}
        return kept

    @classmethod
    def of(cls, state: dict[str, Any]) -> Self:
        """Take back what `state` gave."""
        effects, latent = (
            Effects(state["names"], state[f"{name}.intercept"], state[f"{name}.values"])
            for name in ("effects", "latent_effects")
        )
        readout = None
        if "weights" in state:
            network = Readout(ReadoutShape(*state["shape"])).eval().requires_grad_(False)
            vector_to_parameters(torch.from_numpy(state["weights"]), network.parameters())
            readout = FittedReadout(network, state["scales"], float(state["unit"]))
        return cls(effects, latent, readout, state["base"], int(state["steps"]))


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
            centre = LearnedCentre(effects, on_latents, None, "plain", 0)
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
        told = []
        for perturbation in changes.perturbations:
            effects, on_latents = folds.unseen(perturbation), latent_folds.unseen(perturbation)
            told.append(_told(effects, on_latents, readout, perturbation, units))
        centre = LearnedCentre(folds.effects(), latent_folds.effects(), readout, folds.base, steps)
        return centre, _stack(told)

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
            return replace(centre, effects=own_effects(changes))
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
        return replace(centre, effects=folds.effects(), readout=readout, steps=steps)

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


def _told(
    effects: Effects,
    on_latents: Effects,
    readout: FittedReadout | None,
    perturbation: Perturbation,
    units: Units,
) -> np.ndarray:
    scales = np.ones(N_SHAPES) if readout is None else readout.scales
    change, genes = effects.change(perturbation), len(effects.intercept)
    overlap, latent = shapes(effects, perturbation), on_latents.change(perturbation).reshape(genes, -1)
    return np.concatenate([units.place(change)[:, None], overlap / scales, latent], axis=1).astype(np.float32)


def _stack(told: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(told))
