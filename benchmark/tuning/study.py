"""The study of a tuning in its database: who tries what, and what came of it.

A study may be worked on by several processes, here or elsewhere, and any of them may end at any moment. A
trial whose process has ended without a word is marked as lost and its configuration waits to be tried again,
once: a configuration that ends two processes is a failure.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from benchmark.machine.alive import is_alive, this_process
from benchmark.machine.paths import locked
from benchmark.tuning.plan import Direction
from benchmark.tuning.space import Space
from benchmark.tuning.storage import address, open_storage, usable

DEFAULT, PROCESS, LOST, AGAIN = "default", "process", "lost", "again"
"""Attributes of trials: of the default configuration; tried by; ended from outside; lost so often before."""
WORDLESS = "the process that tried it ended without a word"


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes
    ----------
    state
        Complete, pruned or failed.
    value
        Of the objective; None unless complete.
    metrics
        Mean of each metric over the perturbations where it is defined.
    seconds
        How long it took.
    reason
        Why it failed, in one sentence.
    """

    state: TrialState
    value: float | None = None
    metrics: Mapping[str, float] | None = None
    seconds: float = 0.0
    reason: str = ""


class Study:
    """One study: opened, or made where there is none of the name.

    Parameters
    ----------
    url
        Address of the database; None for the file ``tuning.db`` of the project.
    name
        Of the study.
    space
        What is drawn from.
    direction
        ``"minimize"`` or ``"maximize"``.
    wanted
        How many trials it is to have.
    seed
        Of the draws. What is drawn depends on it and on the trials that are there, so that a study that was
        interrupted goes on as if it had not been.

    Raises
    ------
    BenchmarkError
        When the database cannot be used.
    """

    def __init__(
        self, url: str | None, name: str, space: Space, direction: Direction, wanted: int, seed: int
    ) -> None:
        self.url = address(url)
        self.name, self.space, self.direction, self.wanted, self.seed = name, space, direction, wanted, seed
        # What Optuna says is for whoever calls it, and not for those who wait for a score.
        optuna.logging.set_verbosity(logging.WARNING)
        with usable(self.url), locked(".tuning.lock"):
            self._storage = open_storage(self.url)
            self._study = optuna.create_study(
                study_name=name,
                storage=self._storage,
                direction=direction,
                pruner=MedianPruner(),
                load_if_exists=True,
            )

    def trials(self) -> list[FrozenTrial]:
        """Trials that count: those that are finished or under way, but for lost ones."""
        with usable(self.url):
            trials = self._study.get_trials(deepcopy=False)
        return [each for each in trials if each.state != TrialState.WAITING and not each.user_attrs.get(LOST)]

    def finished(self) -> list[FrozenTrial]:
        """Trials that count and are not under way."""
        return [each for each in self.trials() if each.state.is_finished()]

    def best(self) -> FrozenTrial | None:
        """The first trial of the best value; None where no trial has succeeded."""
        complete = [each for each in self.trials() if each.state == TrialState.COMPLETE]
        sign = 1 if self.direction == "minimize" else -1
        return min(complete, key=lambda each: sign * (each.value or 0.0), default=None)

    def kept(self, name: str, compute: Callable[[], Any]) -> Any:
        """Something that is computed once and kept with the study; JSON holds it."""
        with usable(self.url):
            known = self._study.user_attrs
        if name not in known:
            value = compute()
            with usable(self.url):
                self._study.set_user_attr(name, value)
            return value
        return known[name]

    def claim(self) -> Trial | None:
        """Take the next configuration to try, the default one first; None where there are enough trials."""
        with usable(self.url), locked(".tuning.lock"):
            taken = self.trials()
            if len(taken) >= self.wanted:
                return None
            default = self._queue(first=not taken)
            drawn = self.space.start if default else self.space.distributions
            # The process may have ended since the last draw: no state of a generator is to be lost.
            seed = int(np.random.SeedSequence([self.seed, len(taken)]).generate_state(1)[0])
            self._study.sampler = TPESampler(seed=seed, multivariate=False)
            trial = self._study.ask({name: self.space.distributions[name] for name in drawn})
            trial.set_user_attr(PROCESS, this_process())
            return trial

    def _queue(self, first: bool) -> bool:
        """See that a trial waits to be taken; returns whether it is of the default configuration.

        It tells of this process already, so that it is known to be lost whenever the process ends.
        """
        waiting = [each for each in self._study.get_trials(False) if each.state == TrialState.WAITING]
        if waiting:
            self._mark(waiting[0], PROCESS, this_process())
            return bool(waiting[0].user_attrs.get(DEFAULT))
        fixed = self.space.start if first else {}
        self._study.enqueue_trial(fixed, user_attrs={DEFAULT: first, PROCESS: this_process()})
        return first

    def twin(self, trial: Trial) -> FrozenTrial | None:
        """A trial of the same configuration that has a value already."""
        if trial.user_attrs.get(DEFAULT):
            return None
        return next(
            (
                each
                for each in self.trials()
                if each.state == TrialState.COMPLETE
                and each.params == trial.params
                and not each.user_attrs.get(DEFAULT)
            ),
            None,
        )

    def is_hopeless(self, trial: Trial, loss: float, percent: int) -> bool:
        """Whether a trial has a higher loss than most others at this per cent of their training."""
        with usable(self.url):
            trial.report(loss if self.direction == "minimize" else -loss, percent)
            return trial.should_prune()

    def tell(self, trial: Trial, outcome: Outcome) -> None:
        """Write down what came of a trial."""
        with usable(self.url):
            trial.set_user_attr("seconds", outcome.seconds)
            if outcome.reason:
                trial.set_user_attr("reason", outcome.reason)
            if outcome.metrics:
                trial.set_user_attr("metrics", dict(outcome.metrics))
            self._study.tell(trial, outcome.value, state=outcome.state)

    def give_back(self, trial: Trial) -> None:
        """Leave a trial that is under way to whoever works on the study next."""
        with usable(self.url), locked(".tuning.lock"):
            self._lose(self._frozen(trial.number), "stopped from the keyboard")

    def close_lost(self) -> int:
        """Leave the trials of processes that have ended without a word to others; returns how many."""
        with usable(self.url), locked(".tuning.lock"):
            lost = [each for each in self.trials() if _is_lost(each)]
            for each in lost:
                again = each.user_attrs.get(AGAIN, 0)
                if again:
                    self._fail(each, f"{WORDLESS}, twice")
                else:
                    self._lose(each, WORDLESS, again + 1)
        return len(lost)

    def _lose(self, trial: FrozenTrial, reason: str, again: int | None = None) -> None:
        kept = {key: trial.user_attrs[key] for key in (DEFAULT, AGAIN) if key in trial.user_attrs}
        drawn = {} if trial.params.keys() < self.space.distributions.keys() else trial.params
        fixed = self.space.start if trial.user_attrs.get(DEFAULT) else drawn
        self._study.enqueue_trial(fixed, user_attrs=kept | ({} if again is None else {AGAIN: again}))
        self._mark(trial, LOST, True)
        self._fail(trial, reason)

    def _fail(self, trial: FrozenTrial, reason: str) -> None:
        self._mark(trial, "reason", reason)
        self._study.tell(trial.number, state=TrialState.FAIL)

    def _mark(self, trial: FrozenTrial, key: str, value: Any) -> None:
        study = self._storage.get_study_id_from_name(self.name)
        self._storage.set_trial_user_attr(
            self._storage.get_trial_id_from_study_id_trial_number(study, trial.number), key, value
        )

    def _frozen(self, number: int) -> FrozenTrial:
        return next(each for each in self._study.get_trials(deepcopy=False) if each.number == number)


def seconds_of(trials: list[FrozenTrial]) -> float:
    """How long trials took together."""
    return math.fsum(each.user_attrs.get("seconds", 0.0) for each in trials)


def _is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial is under way and its process is not."""
    return trial.state == TrialState.RUNNING and not is_alive(trial.user_attrs[PROCESS])
