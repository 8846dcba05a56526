"""What a training is asked for, and what follows of it for each step: the learning rate, and the checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingOptions:
    """How weights are found.

    Attributes
    ----------
    steps
        Number of steps.
    learning_rate, final_learning_rate, warmup
        Of AdamW: linear to `learning_rate` over the first share `warmup` of the steps, then a cosine.
    weight_decay, beta2
        AdamW's: without decay of the weights it is Adam; `beta2` is that of the mean of squared gradients.
    gradient_norm
        Where the gradient's norm is clipped; 0 for nowhere.
    average
        Decay of the exponential moving average of the weights that is kept; 0 keeps the last ones.
    checks, patience
        How often the flow is scored on validation, the best being kept (0: the last is kept); training
        ends early after `patience` checks in a row without a better score (0: never).
    checkpoint_steps, checkpoint_minutes
        A checkpoint is written after so many steps, or minutes, whichever is first; 0 turns one off.
    compile
        Whether the flow is compiled, on CUDA.
    """

    steps: int
    learning_rate: float
    final_learning_rate: float
    warmup: float
    weight_decay: float
    beta2: float
    gradient_norm: float
    average: float
    checks: int
    patience: int
    checkpoint_steps: int
    checkpoint_minutes: float
    compile: bool


def learning_rate_factor(options: TrainingOptions) -> Callable[[int], float]:
    """Share of the learning rate at each step: a linear rise, then a cosine to the final rate."""
    rising = round(options.warmup * options.steps)
    floor = options.final_learning_rate / options.learning_rate

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        done = (step - rising) / max(1, options.steps - rising)
        return floor + (1 - floor) * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    return factor


def checks_due(options: TrainingOptions) -> set[int]:
    """Steps after which the flow is scored on validation, evenly spaced, the last one among them."""
    return {round(options.steps * check / options.checks) for check in range(1, options.checks + 1)}
