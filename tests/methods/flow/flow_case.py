"""A small flow, training cells, options and the comparisons that the tests of flows share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from methods._flow.backbone import Encoded, FlowShape, build_flow
from methods._flow.cascade import CascadeObjective, CascadeOptions, TimeRule, cascaded_times
from methods._flow.pool import CellPool
from methods._flow.schedule import TrainingOptions
from methods._flow.training import Training

GENES, CONTROL, UNKNOWN = 5, 6, 7
SHAPE = FlowShape(n_tokens=9, width=8, heads=2, layers=1, dropout=0.3, latent=2)
BATCHES = CascadeOptions(
    batch_size=8,
    genes_per_step=4,
    context_genes=3,
    latent_probability=0.4,
    latent_floor=0.75,
    token_dropout=0.05,
    precision="float32",
)
OPTIONS = TrainingOptions(
    steps=12,
    learning_rate=1e-2,
    final_learning_rate=1e-3,
    warmup=0.25,
    weight_decay=0.01,
    beta2=0.99,
    gradient_norm=1.0,
    average=0.9,
    checks=4,
    patience=0,
    checkpoint_steps=0,
    checkpoint_minutes=0.0,
    compile=False,
)


def generator(seed: int = 0) -> torch.Generator:
    """Make a seeded generator."""
    return torch.Generator().manual_seed(seed)


def pool(cells: int = 12, shift: float = 0.0) -> CellPool:
    """Random cells of two perturbations, of gene 0 and of a gene outside the panel."""
    random = generator(9)
    return CellPool(
        control=torch.randn(cells, GENES, generator=random),
        perturbed=torch.randn(cells, GENES, generator=random) + shift,
        partner=torch.arange(cells).flip(0),
        size=torch.tensor([cells // 3, cells - cells // 3]),
        tokens=torch.tensor([[0, CONTROL], [1, 5]]),
        latent=torch.randn(2, 3, GENES, 2, generator=random).half(),
    )


def objective(times: TimeRule = cascaded_times, cells: CellPool | None = None, **changes: object):
    """What a flow of two streams learns, with other settings where they are named."""
    options = replace(BATCHES, **changes)
    return CascadeObjective(cells or pool(), options, times, control_token=CONTROL, unknown_token=UNKNOWN)


def training(
    path: Path | None = None, learns: object = None, validate=None, seed: int = 3, **changes: object
):
    """A training of a new flow, with other options where they are named."""
    flow = build_flow(SHAPE, seed=1)
    return Training(flow, learns or objective(), replace(OPTIONS, **changes), validate, seed, path)


def finished(
    path: Path | None = None, learns: object = None, validate=None, seed: int = 3, **changes: object
):
    """The same, done."""
    done = training(path, learns, validate, seed, **changes)
    for _ in done:
        pass
    return done


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules agree to the last bit."""
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


class RecordingFlow:
    """Stands in for a flow: writes down what it is given and answers zero."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Tensor]] = []
        self.encoded = 0

    def encode(self, genes: Tensor, perturbation: Tensor) -> Encoded:
        """Keep what is asked for in place of vectors."""
        self.encoded += 1
        return Encoded(genes, perturbation, genes)

    def __call__(self, x_t, x_ctrl, encoded, t_expr, z_t=None, t_latent=None, context=None):
        given = {"x_t": x_t, "x_ctrl": x_ctrl, "t_expr": t_expr, "z_t": z_t, "t_latent": t_latent}
        self.calls.append(
            {**given, "genes": encoded.genes, "tokens": encoded.perturbation, "context": context}
        )
        v_expr = torch.zeros_like(x_t, requires_grad=True)
        return v_expr, None if z_t is None else torch.zeros_like(z_t, requires_grad=True)

    def all(self, name: str) -> Tensor:
        """One argument of all calls, one after the other."""
        return torch.cat([call[name] for call in self.calls])


def record(learns: object, steps: int = 200, seed: int = 0) -> tuple[RecordingFlow, Sequence[dict]]:
    """Draw batches for a recording flow; returns it, and the losses of each."""
    flow, draws = RecordingFlow(), generator(seed)
    losses = [learns.losses(flow, learns.draw(draws), torch.device("cpu")) for _ in range(steps)]
    return flow, losses
