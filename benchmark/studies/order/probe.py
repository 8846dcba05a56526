"""How long a training takes here: a short one is timed, and the parts that were cut are scaled up."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from benchmark.config import MethodConfig
from benchmark.machine.progress import Stage, report_to
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.predicting import sample_cells
from benchmark.runs.request import Task
from benchmark.splits.views import training_views

STEP_FIELDS = ("steps", "transformer_steps")
PART = 20
"""A probe takes one of so many steps."""


@dataclass
class TimedStage:
    """One stage of a probe: how many steps it announced, and the seconds of each."""

    total: int
    seconds: list[float] = field(default_factory=list)
    _last: float = field(default_factory=time.perf_counter)

    def advance(self, steps: int = 1, **values: float) -> None:
        """Note the time since the step before."""
        now = time.perf_counter()
        self.seconds += [(now - self._last) / max(steps, 1)] * steps
        self._last = now


@dataclass
class StageTimes:
    """A reporter that keeps the times of all stages."""

    stages: list[TimedStage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """Time one stage."""
        timed = TimedStage(total)
        self.stages.append(timed)
        yield timed


def probe(task: Task) -> tuple[float, float]:
    """Fit with a twentieth of the steps and predict one perturbation.

    Returns
    -------
    tuple
        Seconds that the whole fit and the prediction of all test perturbations would take.
    """
    config, full = cut(task.config)
    logging.getLogger("benchmark").info(
        "Timing a short training of %s, with about 1/%d of its steps", task.coordinates.method, PART
    )
    train, validation = training_views(task.dataset, task.split)
    method = task.method_class(config, seed=task.coordinates.seed, device=task.device)
    times = StageTimes()
    start = time.perf_counter()
    with report_to(times):
        method.fit(train, validation)
    fitting = time.perf_counter() - start + remaining(times.stages, full)
    control = train[train.obs["perturbation"] == CONTROL]
    cells = sample_cells(control, task.coordinates.cells, task.coordinates.seed)
    asked = [Perturbation.parse(label) for label in task.split.test]
    answered = [each for each in asked if method.unsupported(each) is None]
    start = time.perf_counter()
    for _ in method.predict(cells, answered[:1]):
        pass
    return fitting, (time.perf_counter() - start) * len(answered)


def cut(config: MethodConfig) -> tuple[MethodConfig, dict[int, int]]:
    """Shorten the training, to prime numbers of steps, which no other stage is likely to have.

    They are two at least: what is done at once is a stage of one step.

    Returns
    -------
    MethodConfig
        The same with about one of `PART` steps.
    dict
        Steps as they are now -> steps as they were; the larger where two are cut to the same number.
    """
    steps = {name: getattr(config, name) for name in STEP_FIELDS if name in type(config).model_fields}
    short = {name: min(value, largest_prime(max(2, value // PART))) for name, value in steps.items()}
    full: dict[int, int] = {}
    for name, value in short.items():
        full[value] = max(full.get(value, 0), steps[name])
    return type(config)(**{**config.model_dump(), **short}), full


def largest_prime(limit: int) -> int:
    """Return the largest prime up to `limit`, or 1 where there is none."""
    candidates = range(limit, 1, -1)
    return next((n for n in candidates if all(n % d for d in range(2, math.isqrt(n) + 1))), 1)


def remaining(stages: list[TimedStage], full: Mapping[int, int]) -> float:
    """Seconds of the steps that were cut off, at the usual pace of each stage that has a cut number of steps.

    What happens a few times in a stage, whatever its length, such as a check on validation cells, is in
    the time of the short stage already and does not count again: the pace is the median step.
    """
    return sum(
        (full[stage.total] - stage.total) * median(stage.seconds)
        for stage in stages
        if stage.total in full and stage.seconds
    )
