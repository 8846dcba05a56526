"""Cells of validation perturbations on their way from noise, whose velocities a flow is to know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from benchmark.perturbation import Perturbation
from methods._flow.backbone import Flow, FlowShape
from methods._flow.paths import at_time, gaussian, velocity
from methods._flow.precision import Precision, autocast
from methods._flow.sampling import Order
from methods._overlap import N_SHAPES
from methods._trained_flow.rows import controls_by_context, perturbed_rows

CELLS = 4
"""Of each validation perturbation."""


@dataclass(frozen=True)
class Point:
    """Cells of one perturbation on their way from noise.

    Attributes
    ----------
    tokens
        Of the perturbation.
    start, end
        Where their paths begin and end, (cells, genes).
    given
        The control side, (cells, genes, 1 + told).
    times
        (cells,).
    latent_noise
        (cells, genes, d).
    """

    tokens: list[int]
    start: Tensor
    end: Tensor
    given: Tensor
    times: Tensor
    latent_noise: Tensor

    @torch.no_grad()
    def error(self, flow: Flow, order: Order, context: Tensor | None, precision: Precision) -> float:
        """Squared error of the velocity: with the latent as told, or at rest where expression comes first."""
        device = next(flow.parameters()).device
        told, rest = self.given[..., 2 + N_SHAPES :], order == "expression_first"
        latent, t_latent = (self.latent_noise, 0.0) if rest else (told, 1.0)
        genes = torch.arange(self.end.shape[1], device=device)
        with autocast(device, precision):
            v_expr, _ = flow(
                at_time(self.start, self.end, self.times).to(device),
                self.given.to(device),
                flow.encode(genes, torch.tensor([self.tokens], device=device)),
                self.times.to(device),
                latent.to(device),
                torch.full_like(self.times, t_latent).to(device),
                context,
            )
        return float((v_expr.float().cpu() - velocity(self.start, self.end)).square().mean())


class Asks(Protocol):
    """What is needed of a method to ask its flow about cells."""

    shape_: FlowShape

    def tokens(self, perturbation: Perturbation) -> list[int]:
        """The two tokens of a perturbation."""

    def in_units(self, cells: sparse.csr_matrix) -> Tensor:
        """Cells in the units of the flow."""

    def around(self, start: Tensor, perturbation: Perturbation) -> Tensor:
        """The control cells, and what is learned of the perturbation."""


def points_of(
    method: Asks, train: AnnData, validation: AnnData, generator: torch.Generator
) -> Iterator[Point]:
    """Draw some cells of each validation perturbation, with control cells and times of their own."""
    by_context = controls_by_context(train)
    for label, own in perturbed_rows(validation).items():
        perturbation = Perturbation.parse(label)
        controls = by_context[perturbation.context]
        rows = own[torch.randperm(len(own), generator=generator)[:CELLS].numpy()]
        partner = torch.randint(len(controls), (len(rows),), generator=generator).numpy()
        end, start = (
            method.in_units(sparse.csr_matrix(cells, dtype=np.float32))
            for cells in (validation.X[rows], train.X[controls[partner]])
        )
        yield Point(
            method.tokens(perturbation),
            gaussian(end.shape, generator),
            end,
            method.around(start, perturbation),
            torch.rand(len(end), generator=generator),
            gaussian((*end.shape, method.shape_.latent), generator),
        )
