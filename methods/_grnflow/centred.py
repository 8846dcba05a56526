"""A flow that generates around a mean that it learns before any cell is generated, and that it can tell."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from benchmark.machine import peers
from benchmark.machine.device import choose_device
from benchmark.machine.progress import stage
from benchmark.perturbation import Perturbation
from methods._effects import Base
from methods._flow.backbone import Flow, choose_context
from methods._flow.paths import gaussian
from methods._flow.pool import CellPool
from methods._flow.randomness import seeded_generator
from methods._flow.readout import ReadoutOptions
from methods._flow.sampling import Order, SamplingOptions, sample_mean
from methods._grnflow.centre_learner import LEAST_SPREAD, CentreLearner, spread_around
from methods._grnflow.latent_fit import generated_r2, held_out_r2
from methods._grnflow.learned_centre import LearnedCentre, Units
from methods._grnflow.validation import Point, points_of
from methods._pseudobulk import changes_of_conditions
from methods._trained_flow.method import ONE_STEP, FlowMethod
from methods._trained_flow.rows import controls_by_context, perturbed_rows

REFERENCE_CELLS = 64
"""Control cells that latents are sampled for where the mean is asked for."""

CHECKED, CHECKED_CELLS = 6, 8
"""Validation perturbations, and control cells, that latents are generated for to see where they lie."""

_log = logging.getLogger("benchmark")


class CentredFlow(FlowMethod):
    """A flow of latents and expression around means that are told of a perturbation.

    A subclass's `fit` sets what `FlowMethod` asks for, then calls `learn_centre`, `measure_spread`,
    `train_flow` and `complete_centre`, in this order. The mean of sampled cells is that of the centre: the
    flow adds how cells differ.
    """

    bases: ClassVar[Sequence[Base]] = ("learned",)
    """Ways to fit the effects that are told, of which the best on doubles is taken."""
    selected_in: ClassVar[tuple[Order, ...]] = ("latent_first",)
    """Orders whose errors on validation decide, on average, which weights are kept."""

    centre_: LearnedCentre
    control_means_: np.ndarray
    """Of each context, (contexts, genes), log1p CP10K."""
    references_: list[np.ndarray]
    """Some control cells of each context, (cells, genes), in the units of the flow."""

    def learn_centre(self, train: AnnData, latent: Tensor) -> Tensor:
        """Learn what cells lie around.

        Parameters
        ----------
        train
            Training cells.
        latent
            Of the training conditions in alphabetical order, (conditions, latents, genes, d).

        Returns
        -------
        Tensor
            What is told of each of them, float32 (conditions, genes, 1 + 15 + d).
        """
        changes = changes_of_conditions(train)
        chosen = [rows[:REFERENCE_CELLS] for rows in controls_by_context(train).values()]
        self.references_ = [
            self.in_units(sparse.csr_matrix(train.X[rows], dtype=np.float32)).numpy() for rows in chosen
        ]
        self.control_means_ = np.stack([changes.controls[name] for name in changes.controls])
        with stage("learn centre", 1) as progress:
            self.centre_, told = self._learner.learn(changes, latent, self._units)
            progress.advance(**held_out_r2(changes, latent, told))
        _log.info("Cells are generated around %s.", self.centre_.about)
        return told

    def measure_spread(self, pool: CellPool) -> None:
        """Measure how far training cells and their latents lie from what they are generated around."""
        assert pool.latent is not None
        assert pool.told is not None
        self.spread_ = pool.spread().clamp(min=LEAST_SPREAD).numpy()
        self.latent_spread_ = spread_around(pool.latent, pool.told[..., -self.shape_.latent :]).numpy()

    def complete_centre(self, train: AnnData, validation: AnnData, latent: Tensor) -> None:
        """Learn the mean again, from validation perturbations too, now that nothing is chosen on them."""
        changes, seen = changes_of_conditions(train, validation), changes_of_conditions(train)
        with stage("complete centre", 1) as progress:
            self.centre_ = self._learner.complete(self.centre_, changes, seen, latent)
            self.centre_.fill(self.flow_.centre, self._units)
            progress.advance(**self._generated(validation))
        _log.info("Predictions lie around %s.", self.centre_.about)

    def prepare(self, flow: Flow) -> None:
        """Give the flow what it generates around."""
        self.centre_.fill(flow.centre, self._units)
        flow.centre.spread.copy_(torch.from_numpy(self.spread_))
        flow.centre.latent_spread.copy_(torch.from_numpy(self.latent_spread_))

    def control_side(self, start: Tensor, perturbation: Perturbation) -> Tensor:
        """What a prediction is told: the control cells, and what was learned of the perturbation."""
        return self.around(start, perturbation)

    def around(self, start: Tensor, perturbation: Perturbation) -> Tensor:
        """The control cells, and what is learned of the perturbation, (cells, genes, 1 + told)."""
        told = torch.from_numpy(self.centre_.told(perturbation, self._units))
        return torch.cat([start.unsqueeze(-1), told.expand(*start.shape, -1)], dim=-1)

    def mean_in_units(self, flow: Flow, perturbation: Perturbation, options: SamplingOptions) -> Tensor:
        """The mean that is generated around, on the latents of control cells that are always the same."""
        reference = self._reference(perturbation)
        generator = seeded_generator(self.seed, f"mean of {perturbation}")
        x0 = self.noise(reference, generator)
        z0 = gaussian((*reference.shape, self.shape_.latent), generator)
        context = choose_context(reference.shape[1], self.config.context_genes, generator)
        given = self.control_side(reference, perturbation)
        return sample_mean(flow, given, torch.tensor([self.tokens(perturbation)]), x0, z0, context, options)

    def predict_mean(self, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """The mean of the cells that are sampled, whatever control cells they begin from."""
        self.require_fitted()
        flow, options = self.flow_.to(choose_device(self.device)), self.sampling()
        for perturbation in perturbations:
            mean = self.mean_in_units(flow, perturbation, options)
            yield self.out_of_units(mean).clamp(min=0).double().numpy()

    def fitted_state(self) -> dict[str, Any]:
        """The flow's state, and what it generates around."""
        centre = {f"centre.{key}": value for key, value in self.centre_.state().items()}
        kept: dict[str, Any] = {"reference": np.concatenate(self.references_)}
        if len(self.references_) == 1:
            kept["control_mean"] = self.control_means_[0]
        else:
            kept["control_mean"] = self.control_means_
            kept["reference_ends"] = np.cumsum([len(cells) for cells in self.references_])
        return {**super().fitted_state(), **kept, **centre}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back both."""
        super().restore(state)
        self.control_means_ = np.atleast_2d(state["control_mean"])
        self.references_ = np.split(state["reference"], state.get("reference_ends", [])[:-1])
        self.centre_ = LearnedCentre.of(
            {key[7:]: value for key, value in state.items() if key.startswith("centre.")}
        )

    def _validation(self, train: AnnData, validation: AnnData) -> Callable[[Flow], float]:
        """Squared error of the velocity of validation cells, at points that are always the same.

        Where the mean lies is not the flow's doing, so that errors of means say little of it.
        """
        generator = torch.Generator().manual_seed(self.seed)
        points = [
            (point, order)
            for point in points_of(self, train, validation, generator)
            for order in self.selected_in
        ]
        context = choose_context(train.n_vars, self.config.context_genes, generator)

        def error(flow: Flow, point: Point, order: Order) -> np.ndarray:
            return np.array([point.error(flow, order, context, self.config.precision)])

        return lambda flow: float(np.mean([*peers.spread(lambda pair: error(flow, *pair), points)]))

    def _generated(self, validation: AnnData) -> dict[str, float]:
        """How near the latents that are generated lie to what they are generated around."""
        asked = [Perturbation.parse(label) for label in list(perturbed_rows(validation))[:CHECKED]]
        starts = [(each, self._reference(each)[:CHECKED_CELLS]) for each in asked]
        flow, generator = self.flow_.to(choose_device(self.device)), seeded_generator(self.seed, "context")
        context = choose_context(len(self.mean_), self.config.context_genes, generator)
        options = replace(self.sampling(), expression=ONE_STEP)
        return generated_r2(self, flow, starts, context, options)

    def _reference(self, perturbation: Perturbation) -> Tensor:
        """Control cells of the context of a perturbation, always the same, (cells, genes)."""
        return torch.from_numpy(self.references_[self.contexts_.place(perturbation.context)])

    @property
    def _learner(self) -> CentreLearner:
        shape, most_steps = self.shape_, self.config.readout_steps
        options = ReadoutOptions(shape.readout_width, shape.readout_vector, most_steps=most_steps)
        return CentreLearner(self.bases, options, self.seed)

    @property
    def _units(self) -> Units:
        names = self.contexts_.names if self.contexts_.told_apart else []
        in_contexts = dict(zip(names, self.control_means_, strict=False))
        return Units(self.control_means_.mean(axis=0), self.mean_, self.deviation_, in_contexts)
