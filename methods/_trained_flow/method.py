"""Training a flow on cells, sampling cells from it, saving it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from benchmark.contexts import CONTEXT, NONE, values_in_view
from benchmark.errors import BenchmarkError
from benchmark.machine import peers
from benchmark.machine.device import choose_device
from benchmark.machine.paths import cache_folder
from benchmark.machine.progress import stage
from benchmark.method import Method, Resources
from benchmark.perturbation import Perturbation
from methods._flow.backbone import Flow, FlowShape, build_flow, choose_context
from methods._flow.cells import cells_digest, slices, standardise
from methods._flow.devices import with_whole_batch
from methods._flow.graph import correlation, neighbours, token_mask
from methods._flow.paths import gaussian
from methods._flow.randomness import seeded_generator
from methods._flow.sampling import SamplingOptions, Solver, non_negative, sample_expression
from methods._flow.schedule import TrainingOptions
from methods._flow.training import DivergedError, Objective, Training
from methods._flow.vocabulary import GeneVocabulary
from methods._pseudobulk import mean_expression
from methods._trained_flow.config import FlowConfig
from methods._trained_flow.contexts import CellContexts
from methods._trained_flow.rows import controls_by_context, mean_within_contexts, perturbed_rows

_log = logging.getLogger("benchmark")

TOKENS_PER_CHUNK = 32_000
VALIDATION_CELLS = 32
ONE_STEP = Solver("euler", 1)
"""From noise at time 0 one step gives the mean of the end, whatever the noise was."""


class FlowMethod(Method):
    """A method that samples cells from a trained flow.

    A subclass's `fit` sets ``mean_`` and ``deviation_`` (the units of the flow, (genes,)), ``contexts_``,
    ``vocabulary_`` and ``shape_``, and ends with `train_flow`.
    """

    Config = FlowConfig
    config: FlowConfig
    resources: ClassVar[Resources] = Resources(gpus=1, memory_gb=4)
    spreads: ClassVar[bool] = True
    supports_contexts: ClassVar[bool] = True
    clamp: ClassVar[Callable[[Tensor], Tensor]] = staticmethod(non_negative)
    """How sampled cells are kept from going below zero."""

    mean_: np.ndarray
    deviation_: np.ndarray
    contexts_: CellContexts
    vocabulary_: GeneVocabulary
    shape_: FlowShape
    flow_: Flow

    def predict(self, control: AnnData, perturbations: Sequence[Perturbation]) -> Iterator[np.ndarray]:
        """Sample one cell for each control cell; a repeated control cell gets other noise."""
        self.require_fitted()
        if list(control.var_names) != self.vocabulary_.panel:
            raise BenchmarkError(
                f"The control cells have {control.n_vars} genes, which are not the "
                f"{len(self.vocabulary_.panel)} that '{self.name}' was fitted on; "
                "give the same genes in the same order."
            )
        flow = self.flow_.to(choose_device(self.device))
        start = self.in_units(sparse.csr_matrix(control.X, dtype=np.float32))
        options = self.sampling()
        return peers.spread(lambda asked: self.sample(flow, start, asked, options), perturbations)

    @property
    def device_used(self) -> str:
        """What `device` resolves to."""
        return str(choose_device(self.device))

    def fitted_state(self) -> dict[str, Any]:
        """Genes, units, shape and weights, as names and arrays."""
        weights = {f"flow.{key}": value.cpu().numpy() for key, value in self.flow_.state_dict().items()}
        return {
            "mean": self.mean_,
            "deviation": self.deviation_,
            "genes": self.vocabulary_.panel,
            "perturbed": self.vocabulary_.perturbed,
            "shape": asdict(self.shape_),
            **({} if self.contexts_.names == [NONE] else {"contexts": self.contexts_.names}),
            **weights,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Build the flow again and give it its weights."""
        self.vocabulary_ = GeneVocabulary(state["genes"], state["perturbed"])
        self.mean_, self.deviation_ = state["mean"], state["deviation"]
        self.contexts_ = CellContexts(state.get("contexts", [NONE]))
        self.shape_ = FlowShape(**state["shape"])
        self.flow_ = build_flow(self.shape_, seed=0).eval()
        weights = {key[5:]: torch.from_numpy(state[key]) for key in state if key.startswith("flow.")}
        self.flow_.load_state_dict(weights)

    def in_units(self, cells: sparse.csr_matrix) -> Tensor:
        """Cells (cells, genes), log1p CP10K, in the flow's units, dense."""
        return standardise(cells, self.mean_, self.deviation_)

    def out_of_units(self, cells: Tensor) -> Tensor:
        """Cells (cells, genes), or a mean (genes,), as log1p CP10K, not yet clamped."""
        return cells * torch.from_numpy(self.deviation_) + torch.from_numpy(self.mean_)

    def control_side(self, start: Tensor, perturbation: Perturbation) -> Tensor:
        """What the flow is told beside noise, (cells, genes, values): the control cells in its units."""
        return start.unsqueeze(-1)

    def noise(self, start: Tensor, generator: torch.Generator) -> Tensor:
        """Where the paths of expression begin, (cells, genes)."""
        return gaussian(start.shape, generator)

    def sampling(self) -> SamplingOptions:
        """How cells are predicted."""
        config = self.config
        expression = Solver(config.solver, config.expression_ode_steps)
        return SamplingOptions(expression, expression, "latent_first", config.precision)

    def sample(
        self, flow: Flow, start: Tensor, perturbation: Perturbation, options: SamplingOptions
    ) -> np.ndarray:
        """Sample a cell for each control cell in the flow's units, on the data's scale, (cells, genes)."""
        sampled = self._sampled(flow, start, perturbation, options)
        mean = self.mean_in_units(flow, perturbation, options)
        if mean is not None:
            sampled += mean - sampled.mean(0)
        return self.clamp(self.out_of_units(sampled)).float().numpy()

    def mean_in_units(
        self, flow: Flow, perturbation: Perturbation, options: SamplingOptions
    ) -> Tensor | None:
        """Where the mean of sampled cells is moved to, (genes,), in the flow's units; None where it stays."""
        return None

    def _sampled(
        self, flow: Flow, start: Tensor, perturbation: Perturbation, options: SamplingOptions
    ) -> Tensor:
        """Sample cells in the flow's units, (cells, genes)."""
        generator = seeded_generator(self.seed, str(perturbation))
        x0 = self.noise(start, generator)
        n_cells, n_genes = start.shape
        context = choose_context(n_genes, self.config.context_genes, generator)
        tokens = torch.tensor([self.tokens(perturbation)])
        given = self.control_side(start, perturbation)
        sampled = torch.empty_like(start)
        for part in slices(n_cells, TOKENS_PER_CHUNK // n_genes):
            latent = self.shape_.latent
            z0 = gaussian((*x0[part].shape, latent), generator) if latent else None
            sampled[part] = sample_expression(flow, given[part], tokens, x0[part], z0, context, options)
        return sampled

    def tokens(self, perturbation: Perturbation) -> list[int]:
        """The two tokens of a perturbation, and where there are several the number of its context."""
        return [*self.gene_tokens(perturbation), *self.contexts_.token(perturbation.context)]

    def gene_tokens(self, perturbation: Perturbation) -> list[int]:
        """The two tokens of the genes of a perturbation."""
        return self.vocabulary_.tokens(perturbation.genes)

    def train_flow(self, objective: Objective, train: AnnData, validation: AnnData) -> None:
        """Train a flow of ``shape_``, keep its best weights in ``flow_``."""
        config, device, group = self.config, choose_device(self.device), peers.current()
        cells = sparse.csr_matrix(train.X, dtype=np.float32)
        flow = build_flow(self.shape_, self.seed)
        self.prepare(flow)
        if self.shape_.cell_contexts:
            flow.cell_contexts.shares.copy_(torch.from_numpy(self.contexts_.shares(train)))
        if flow.genes.neighbours is not None:
            graph = neighbours(mean_within_contexts(train, cells, self.correlation), config.graph_neighbours)
            flow.genes.neighbours.mask.copy_(token_mask(graph, self.shape_.n_tokens))
        training = Training(
            flow.to(device),
            objective if group is None else with_whole_batch(objective, group.count),
            config.options(TrainingOptions),
            validate=self._validation(train, validation) if config.checks and validation.n_obs else None,
            seed=self.seed,
            checkpoint=cache_folder("checkpoints") / f"{self._training_key(train, validation)}.pt",
            devices=group,
        )
        try:
            with stage("train flow", config.steps) as progress:
                if training.step:
                    _log.info("Training goes on from the checkpoint of step %d.", training.step)
                    progress.advance(training.step)
                for _, losses in training:
                    progress.advance(**losses, waiting=training.waiting)
        except DivergedError as error:
            raise BenchmarkError(str(error)) from error
        self.flow_ = training.result.eval()

    def prepare(self, flow: Flow) -> None:
        """Give an untrained flow what is known before it is trained."""
        return

    def correlation(self, cells: sparse.csr_matrix) -> np.ndarray:
        """Correlation of genes over training cells, from which the graph is made."""
        return correlation(cells)

    def _validation(self, train: AnnData, validation: AnnData) -> Callable[[Flow], float]:
        """Mean squared error of predicted validation means: one Euler step gives the mean of the end."""
        starts = {}
        for context, controls in controls_by_context(train).items():
            rows = np.random.default_rng(self.seed).choice(controls, VALIDATION_CELLS)
            starts[context] = self.in_units(sparse.csr_matrix(train.X[rows], dtype=np.float32))
        real = {
            label: next(iter(mean_expression(validation[rows]).values()))
            for label, rows in perturbed_rows(validation).items()
        }
        one_step = replace(self.sampling(), latent=ONE_STEP, expression=ONE_STEP)

        def error(flow: Flow, label: str) -> np.ndarray:
            asked = Perturbation.parse(label)
            predicted = self.sample(flow, starts[asked.context], asked, one_step).mean(0)
            return np.array([float(np.square(predicted - real[label]).mean())])

        return lambda flow: float(np.mean([*peers.spread(lambda label: error(flow, label), list(real))]))

    def _training_key(self, train: AnnData, validation: AnnData) -> str:
        """What decides a training: a checkpoint under another key is not continued."""
        group = peers.current()
        about = {
            "method": [self.name, self.version, self.config.digest(), self.seed, self.device_used],
            **({"devices": group.count} if group else {}),
            "torch": torch.__version__,
            "cells": [
                [
                    cells_digest(sparse.csr_matrix(part.X), list(part.var_names)),
                    list(part.obs["perturbation"]),
                    *([list(contexts)] if any(contexts := values_in_view(part.obs, CONTEXT)) else []),
                ]
                for part in (train, validation)
            ],
        }
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
