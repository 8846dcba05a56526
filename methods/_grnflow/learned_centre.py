"""What GRNFlow generates around: learned from mean changes and mean latents before any cell is generated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from benchmark.contexts import NONE
from benchmark.perturbation import Perturbation
from methods._differences import Differences
from methods._effects import Base, Effects
from methods._flow.centre import Centre
from methods._flow.readout import Readout, ReadoutShape
from methods._overlap import N_SHAPES, shapes
from methods._pseudobulk import Changes
from methods._readout_learner import FittedReadout


@dataclass(frozen=True)
class Units:
    """From changes of log1p CP10K to the units of a flow.

    Attributes
    ----------
    control_mean, mean, deviation
        Mean of the control cells, mean and deviation of all training cells, (genes,); 0 if constant.
    in_contexts
        Mean of the control cells of each context, where there are several.
    """

    control_mean: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    in_contexts: Mapping[str, np.ndarray] = field(default_factory=dict)

    def place(self, change: np.ndarray, context: str = NONE) -> np.ndarray:
        """Where a mean lies that has changed so much from the control cells of its context, (genes,)."""
        control = self.in_contexts[context] if self.in_contexts else self.control_mean
        return (control + change - self.mean) * self.inverse

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
    differences
        What contexts add to the mean change.
    """

    effects: Effects
    latent_effects: Effects
    readout: FittedReadout | None
    base: Base
    steps: int
    differences: Differences = Differences.NONE

    @property
    def about(self) -> str:
        """How it was learned, in words."""
        overlap = "that add up"
        if self.readout is not None:
            latents = "reads latents" if self.readout.reads_latent else "does not read latents"
            overlap = f"with a readout of {self.steps} steps that {latents}"
        contexts = (
            f", and what {len(self.differences.contexts)} contexts add" if self.differences.contexts else ""
        )
        return f"effects of the base '{self.base}' {overlap}{contexts}"

    def told(self, perturbation: Perturbation, units: Units) -> np.ndarray:
        """Tell a perturbation as `Centre` reads it, float32 (genes, 1 + 15 + d)."""
        scales = np.ones(N_SHAPES) if self.readout is None else self.readout.scales
        change = self.effects.change(perturbation) + self.differences.of(perturbation)
        place = units.place(change, perturbation.context)[:, None]
        overlap, latent = shapes(self.effects, perturbation) / scales, self._latent(perturbation)
        return np.concatenate([place, overlap, latent], axis=1).astype(np.float32)

    def pooled(self, perturbation: Perturbation) -> np.ndarray:
        """The mean change with what the readout adds, whatever the context, (genes,)."""
        change = self.effects.change(perturbation)
        if self.readout is None:
            return change
        overlap, latent = shapes(self.effects, perturbation), self._latent(perturbation).astype(np.float32)
        return change + self.readout.added(overlap[None], latent[None])[0]

    def with_differences(self, changes: Changes) -> LearnedCentre:
        """The same with what contexts add in these changes."""
        return replace(self, differences=Differences.fit(changes.within, self.pooled))

    def _latent(self, perturbation: Perturbation) -> np.ndarray:
        """Mean of the latent, (genes, d)."""
        return self.latent_effects.change(perturbation).reshape(len(self.effects.intercept), -1)

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
        if self.latent_effects.names != self.effects.names:  # a gene that is in the validation part alone
            kept |= {"latent_effects.names": self.latent_effects.names}
        if self.readout is not None:
            network = self.readout.network
            shape = network.shape
            kept |= {"shape": [shape.inputs, shape.genes, shape.width, shape.vector]}
            kept |= {"scales": self.readout.scales, "unit": self.readout.unit}
            kept |= {"weights": parameters_to_vector(network.parameters()).numpy()}
        if self.differences.contexts:
            kept |= {f"differences.{name}": value for name, value in vars(self.differences).items()}
        return kept

    @classmethod
    def of(cls, state: dict[str, Any]) -> Self:
        """Take back what `state` gave."""
        names = {"effects": state["names"]}
        names["latent_effects"] = state.get("latent_effects.names", state["names"])
        effects, latent = (
            Effects(own, state[f"{name}.intercept"], state[f"{name}.values"]) for name, own in names.items()
        )
        readout = None
        if "weights" in state:
            network = Readout(ReadoutShape(*state["shape"])).eval().requires_grad_(False)
            vector_to_parameters(torch.from_numpy(state["weights"]), network.parameters())
            readout = FittedReadout(network, state["scales"], float(state["unit"]))
        differences = Differences.NONE
        if "differences.contexts" in state:
            kept = (state[f"differences.{name}"] for name in ("contexts", "genes", "values"))
            differences = Differences(*kept)
        return cls(effects, latent, readout, state["base"], int(state["steps"]), differences)
