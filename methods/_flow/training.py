"""Training that survives: a killed run goes on from its last checkpoint to the same result."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from methods._flow.ahead import Ahead, Drawn
from methods._flow.backbone import Flow
from methods._flow.devices import Devices, SharedStep
from methods._flow.files import save_whole
from methods._flow.randomness import seeded
from methods._flow.schedule import TrainingOptions, checks_due, learning_rate_factor


class Objective(Protocol):
    """Draws batches and says how wrong a flow is."""

    def draw(self, generator: torch.Generator) -> Any:
        """Draw a batch with `generator` alone, on the CPU; a thread does it while the flow computes."""

    def losses(self, flow: Flow, batch: Any, device: torch.device) -> dict[str, Tensor]:
        """Compare a flow with a batch; ``loss`` is minimised, everything else is reported."""


class DivergedError(ArithmeticError):
    """The loss is no number any more; the message says when, and where the last good checkpoint is."""


@dataclass
class Training:
    """One training: iterate to do it, then take `result`.

    Attributes
    ----------
    flow
        Trained in place, where its weights are.
    objective
        What is minimised.
    options
        How.
    validate
        Scores a flow, less is better; None to keep the last weights.
    seed
        Of the batches and of dropout.
    checkpoint
        File of the checkpoint, or None. One that is there is continued; it is deleted at the end.
    devices
        The processes that share each batch of the objective, or None. They all do the same training, and the
        first one alone writes the checkpoint.
    """

    flow: Flow
    objective: Objective
    options: TrainingOptions
    validate: Callable[[Flow], float] | None = None
    seed: int = 0
    checkpoint: Path | None = None
    devices: Devices | None = None
    step: int = field(default=0, init=False)
    waiting: float = field(default=0.0, init=False)
    """Share of the time so far in which a step waited for its batch."""

    def __post_init__(self) -> None:
        options = self.options
        self.device = next(self.flow.parameters()).device
        self.averaged = copy.deepcopy(self.flow).requires_grad_(False).eval()
        self.generator = torch.Generator().manual_seed(self.seed)
        self.optimiser = torch.optim.AdamW(
            self.flow.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            betas=(0.9, options.beta2),
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, learning_rate_factor(options))
        self.best: dict[str, Tensor] | None = None
        self.best_score, self.checks_without_gain = math.inf, 0
        self._saved_step, self._saved_at = 0, time.monotonic()
        if options.compile and self.device.type == "cuda":
            self.flow.compile(dynamic=True)
        if self.checkpoint is not None and self.checkpoint.exists():
            self._resume(self.checkpoint)
        self._losses: Callable[..., dict[str, Tensor]] = partial(self.objective.losses, self.flow)
        if self.devices is not None:
            self._losses = self.devices.averaging(SharedStep(self.flow, self.objective, self.devices))

    def __iter__(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Train, and yield after each step how many are done and what it reports.

        Raises
        ------
        DivergedError
            When the loss or its gradient is not finite.
        """
        due, start = checks_due(self.options), time.perf_counter()
        with Ahead(self.objective, self.generator).running() as ahead:
            while self.step < self.options.steps and not self._gave_up:
                losses = self._one_step(ahead.take())
                if self.validate is not None and self.step in due:
                    losses["validation"] = self._check(self.validate)
                self._save_when_due()
                self.waiting = ahead.waited / (time.perf_counter() - start)
                yield self.step, losses
        if self.checkpoint is not None and self._writes:
            self.checkpoint.unlink(missing_ok=True)

    @property
    def result(self) -> Flow:
        """The flow with the weights that are kept, without gradients."""
        if self.best is not None:
            self.averaged.load_state_dict(self.best)
        return self.averaged

    @property
    def _gave_up(self) -> bool:
        return 0 < self.options.patience <= self.checks_without_gain

    @property
    def _writes(self) -> bool:
        return self.devices is None or self.devices.rank == 0

    def _one_step(self, drawn: Drawn) -> dict[str, float]:
        self.flow.train()
        with seeded(drawn.seed):  # for dropout
            losses = self._losses(drawn.batch, self.device)
        if not losses["loss"].isfinite():
            raise DivergedError(self._last_words("loss"))
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(self.flow.parameters(), self.options.gradient_norm or math.inf)
        if not norm.isfinite():  # or the weights, and with them the next checkpoint, would be lost
            raise DivergedError(self._last_words("gradient"))
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        update_average(self.averaged, self.flow, min(self.options.average, self.step / (self.step + 10)))
        return {name: value.item() for name, value in losses.items() if value.isfinite()}

    def _check(self, validate: Callable[[Flow], float]) -> float:
        score = validate(self.averaged)
        if score < self.best_score:
            self.best_score, self.checks_without_gain = score, 0
            self.best = copy.deepcopy(self.averaged.state_dict())
        else:
            self.checks_without_gain += 1
        return score

    def _last_words(self, what: str) -> str:
        kept = "no checkpoint had been written"
        if self.checkpoint is not None and self._saved_step:
            kept = f"the last good checkpoint, of step {self._saved_step}, is {self.checkpoint}"
        found = f"The {what} of step {self.step + 1} is not finite"
        return f"{found}; {kept}; lower learning_rate or clip gradient_norm."

    def _save_when_due(self) -> None:
        if self.checkpoint is None or not self._writes:
            return
        steps, minutes = self.options.checkpoint_steps, self.options.checkpoint_minutes
        by_steps = steps and self.step - self._saved_step >= steps
        by_time = minutes and time.monotonic() - self._saved_at >= 60 * minutes
        if by_steps or by_time:
            save_whole(self._state(), self.checkpoint)
            self._saved_step, self._saved_at = self.step, time.monotonic()

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "flow": self.flow.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "best": self.best,
            "best_score": self.best_score,
            "checks_without_gain": self.checks_without_gain,
        }

    def _take(self, state: dict[str, Any]) -> None:
        self.flow.load_state_dict(state["flow"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        self.step = self._saved_step = state["step"]
        self.best, self.best_score = state["best"], state["best_score"]
        self.checks_without_gain = state["checks_without_gain"]

    def _resume(self, path: Path) -> None:
        untrained = copy.deepcopy(self._state())
        try:
            self._take(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # a damaged file shows in many ways, some of them half way through
            self._take(untrained)
            reason = str(error).partition("\n")[0]
            logging.getLogger("benchmark").warning(
                "The checkpoint %s cannot be read (%s); training begins again.", path, reason
            )


@torch.no_grad()
def update_average(averaged: Flow, flow: Flow, decay: float) -> None:
    """Move the averaged weights a step of 1 - decay towards the current ones."""
    torch._foreach_lerp_(list(averaged.parameters()), list(flow.parameters()), 1 - decay)
