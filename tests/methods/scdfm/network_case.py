"""A small flow of scDFM with weights away from their start, what it is given, and its literal twin."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from methods._flow.backbone import Flow, build_flow
from methods.scdfm import ScDFM
from tests.methods.scdfm.literal import LiteralFlow

TOKENS, GENES, CELLS = 23, 9, 4


def published(**settings: object) -> Flow:
    """A small flow as `ScDFM` builds it with these settings, with a random graph and moved weights."""
    small = {"width": 16, "heads": 4, "layers": 2, "dropout": 0.0, "as_published": True}
    config = ScDFM.Config.build(settings={**small, **settings})
    flow = build_flow(ScDFM._shape(config, TOKENS), seed=1).eval()
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in flow.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=random)
        if flow.genes.neighbours is not None:
            flow.genes.neighbours.mask |= torch.rand(TOKENS, TOKENS, generator=random) < 0.3
    return flow


def inputs() -> tuple[Tensor, ...]:
    """Noisy cells, control cells, times, genes, and the two perturbed tokens of every cell."""
    random = torch.Generator().manual_seed(3)
    x_t, control = torch.randn(2, CELLS, GENES, generator=random) * 2
    control[0, 0] = 600.0  # above the largest value that is told apart
    return (
        x_t,
        control.abs(),
        torch.rand(CELLS, generator=random),
        torch.randperm(TOKENS, generator=random)[:GENES],
        torch.randint(TOKENS, (CELLS, 2), generator=random),
    )


def fast_velocity(
    flow: Flow, x_t: Tensor, control: Tensor, t: Tensor, genes: Tensor, perturbation: Tensor
) -> Tensor:
    """What our network says to the same inputs."""
    return flow(x_t, control.unsqueeze(-1), flow.encode(genes, perturbation), t)[0]


def literal(flow: Flow, time_scale: float, drop: Callable[[Tensor], Tensor] | None = None) -> LiteralFlow:
    """The literal network with the same weights."""
    shape, weights = flow.shape, flow.state_dict(keep_vars=True)
    more = {} if drop is None else {"drop": drop}
    return LiteralFlow(weights, shape.heads, shape.layers, time_scale, **more)
