"""A training that can be told from any other by its weights, whole or cut short."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from methods._flow.backbone import Flow, build_flow
from methods._flow.training import Training
from tests.methods.flow.flow_case import SHAPE, same_weights, training

STEPS = 12
MIDDLE = build_flow(SHAPE, 1).genes.embedding.weight[8].norm().item() * (1 - 4.5e-4)


def score(flow: Flow) -> float:
    """A score that is best in the middle: a token that nobody uses only decays, step by step."""
    return abs(flow.genes.embedding.weight[8].norm().item() - MIDDLE)


@cache
def uninterrupted(steps: int = STEPS) -> tuple[Training, tuple]:
    """A training that nothing disturbs, and what it reports: dropout, average and selection are on."""
    done = training(validate=score, steps=steps)
    return done, tuple((step, tuple(values.items())) for step, values in done)


def assert_same(one: Training, other: Training) -> None:
    """The last and the kept weights agree to the last bit."""
    assert same_weights(one.flow, other.flow)
    assert same_weights(one.result, other.result)
    assert not same_weights(one.flow, one.result)


def interrupted(path: Path, stop: int, every: int) -> None:
    """Train to a step and lose everything but the file."""
    for step, _ in training(path, validate=score, checkpoint_steps=every):
        if step == stop:
            return
