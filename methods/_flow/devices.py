"""One flow on several devices: every process computes its share of each batch, and knows the whole loss.

All processes draw the same batch. Each runs the flow on its share of the cells, and the velocities of all are
put together before the loss is taken, so that a loss that looks at the batch as a whole (the MMD) needs to
know nothing of this, and is that of one process with the whole batch.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from methods._flow.backbone import Encoded, Flow

T = TypeVar("T")


class Devices(Protocol):
    """The processes that train together, each with a device of its own."""

    count: int
    rank: int

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all processes, one after the other along the first axis, without gradients."""

    def averaging(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are the mean over all processes."""


def with_whole_batch(objective: T, count: int) -> T:
    """The same objective with as many cells per step for each of `count` processes as it had for one."""
    options = objective.options
    return replace(objective, options=replace(options, batch_size=count * options.batch_size))


class SharedStep(nn.Module):
    """The losses of a whole batch, of which each process computes a share; what `averaging` wraps.

    Parameters
    ----------
    flow
        Whose gradients are wanted.
    objective
        Draws batches and says how wrong a flow is; see `methods._flow.training.Objective`.
    devices
        The processes.
    """

    def __init__(self, flow: Flow, objective: Any, devices: Devices) -> None:
        super().__init__()
        self.flow, self.objective, self.devices = flow, objective, devices

    def forward(self, batch: Any, device: torch.device) -> dict[str, Tensor]:
        """Return the losses of a batch that all processes have drawn, the same in every process."""
        return self.objective.losses(SharedFlow(self.flow, self.devices), batch, device)


@dataclass(frozen=True)
class SharedFlow:
    """Stands in for a flow: takes all cells, computes this process's share, answers for all."""

    flow: Flow
    devices: Devices

    def encode(self, genes: Tensor, perturbation: Tensor) -> Encoded:
        """Encode everything, which depends on no cell, so that dropout is drawn as in one process."""
        return self.flow.encode(genes, perturbation)

    def __call__(
        self,
        x_t: Tensor,
        x_ctrl: Tensor,
        encoded: Encoded,
        t_expr: Tensor,
        z_t: Tensor | None = None,
        t_latent: Tensor | None = None,
        context: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Predict both velocities of all cells; arguments and result are those of `Flow.forward`."""
        cells, count, rank = len(x_t), self.devices.count, self.devices.rank
        share = slice(cells * rank // count, cells * (rank + 1) // count)

        def own(values: Tensor | None) -> Tensor | None:
            return values[share] if values is not None and len(values) == cells else values

        given = encoded._replace(perturbation=own(encoded.perturbation))
        drops = self.flow.training and self.flow.shape.dropout > 0
        with DropoutOfBatch(cells, share) if drops else nullcontext():
            v_expr, v_latent = self.flow(
                own(x_t), own(x_ctrl), given, own(t_expr), own(z_t), own(t_latent), context
            )
        return self._of_all(v_expr), None if v_latent is None else self._of_all(v_latent)

    def _of_all(self, own: Tensor) -> Tensor:
        return GatherCells.apply(own, self.devices)


class GatherCells(torch.autograd.Function):
    """Put the cells of all processes together; each process gets the gradients of its own back.

    The gradients are multiplied by the number of processes: every process has the loss of the whole batch,
    of which its own cells are a part, so that gradients are to be added where `averaging` takes their mean.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, devices: Devices) -> Tensor:
        """Gather."""
        ctx.devices = devices
        return devices.gather(own)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Keep the part of this process."""
        own = gradient.chunk(ctx.devices.count)[ctx.devices.rank]
        return own * ctx.devices.count, None


class DropoutOfBatch(TorchFunctionMode):
    """Inside, dropout of a share of the cells is what it would be with all of them.

    Parameters
    ----------
    cells
        Cells of the whole batch, the first axis of whatever is dropped from.
    share
        Those of this process.
    """

    def __init__(self, cells: int, share: slice) -> None:
        super().__init__()
        self.cells, self.share = cells, share

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Draw for all cells, and use the part of the share."""
        if function is not functional.dropout:
            return function(*args, **(kwargs or {}))
        values, *how = args
        drawn = functional.dropout(values.new_ones(self.cells, *values.shape[1:]), *how, **(kwargs or {}))
        return values * drawn[self.share]
