"""Trainings of a tiny flow that several processes share, beside the same in one process.

They compute in float64, because float32 cannot tell whether two trainings are the same: Adam divides a
gradient by its own size, so that where a gradient is rounding alone, as that of the bias of keys, rounding
moves the weight by a good part of the learning rate. How it rounds is up to the processor, the number of
threads and the size of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from benchmark.machine.peers import agree, joined, spread
from benchmark.machine.spawn import launch
from methods._flow.backbone import Flow, FlowShape, build_flow
from methods._flow.devices import with_whole_batch
from methods._flow.training import Training
from methods._flow.unpaired import UnpairedObjective, UnpairedOptions
from tests.methods.flow.flow_case import BATCHES, OPTIONS, SHAPE, objective, pool

DROPOUT = 0.3
ALONE = FlowShape(
    n_tokens=9, width=8, heads=2, layers=1, dropout=DROPOUT, standardised=False, inverse_task=True
)
STEPS = 6
EPSILON = 1e-8
"""What Adam adds to the size of a gradient that it divides by."""
ROUNDING = STEPS * OPTIONS.learning_rate * 1e-15 / EPSILON
"""How far rounding can carry a weight, 6e-9, where training moves it by 1e-2: gradients are below 1, as their
norm is clipped, and wrong by 1e-15, and each step is the learning rate times gradient / (size + EPSILON)."""


@dataclass(frozen=True)
class InDouble:
    """An objective whose batches are what they are, in float64."""

    objective: object

    def draw(self, generator: torch.Generator) -> object:
        """Draw a batch and convert its numbers."""
        batch = self.objective.draw(generator)
        return replace(batch, **{field.name: doubled(getattr(batch, field.name)) for field in fields(batch)})

    def losses(self, flow: Flow, batch: object, device: torch.device) -> dict[str, torch.Tensor]:
        """Compare a flow with a batch."""
        return self.objective.losses(flow, batch, device)


def doubled(value: object) -> object:
    """Numbers of float32 in float64; all else as it is."""
    if isinstance(value, tuple):
        return type(value)(*map(doubled, value))
    return value.double() if isinstance(value, torch.Tensor) and value.dtype == torch.float32 else value


def cascade() -> tuple[FlowShape, object]:
    """Two streams on mixed perturbations: cells of a step have perturbations of their own."""
    return SHAPE, objective()


def unpaired() -> tuple[FlowShape, object]:
    """scDFM's: two perturbations a step, and a loss that compares the cells of each with each other."""
    names = ("batch_size", "genes_per_step", "context_genes", "precision")
    shared = {name: getattr(BATCHES, name) for name in names}
    cells = replace(pool(), partner=None, latent=None)
    options = UnpairedOptions(**shared, perturbations_per_step=2, mmd_weight=0.5, noise="gaussian")
    return ALONE, UnpairedObjective(cells, options)


def train(case: tuple[FlowShape, object], devices) -> dict:
    """Train, and return what every step reported with the last weights."""
    shape, learns = case
    training = Training(
        build_flow(shape, seed=1).double(),
        InDouble(learns),
        replace(OPTIONS, steps=STEPS),
        seed=3,
        devices=devices,
    )
    return {
        "curve": [losses for _, losses in training],
        "weights": training.flow.state_dict(),
        "result": training.result.state_dict(),
    }


def in_one_process(case: tuple[FlowShape, object], count: int) -> dict:
    """The training that has all cells of `count` processes in its batch."""
    shape, learns = case
    return train((shape, with_whole_batch(learns, count)), None)


CASES = {"cascade": cascade, "unpaired": unpaired}


def work(folder: Path) -> None:
    """What each of several processes does: all trainings, written down in a file of its own."""
    torch.set_num_threads(1)
    with joined(cpu=True) as group:
        found = {}
        for name, make in CASES.items():
            shape, learns = make()
            found[name] = train((shape, with_whole_batch(learns, group.count)), group)
        numbers = [np.full(2, number) for number in range(5)]
        found["spread"] = [int(values[0]) for values in spread(lambda number: -number, numbers)]
        found["agreed"] = agree(group.rank)
        torch.save(found, folder / f"{group.rank}.pt")


def in_processes(folder: Path, count: int = 2) -> list[dict]:
    """The same trainings, shared by several processes: what each of them found."""
    assert launch(work, [folder], count) == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(count)]
