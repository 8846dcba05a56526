"""Trying configurations, one after the other, until the study has enough of them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import pandas as pd
from optuna.trial import Trial, TrialState

from benchmark.data import load_dataset
from benchmark.errors import BenchmarkError
from benchmark.machine.device import require_device
from benchmark.machine.progress import CurveKeeper, Silent, report_to
from benchmark.predicting import CELLS
from benchmark.records.record import Status
from benchmark.registry import load_method, source_digest
from benchmark.splits import Split, load_split, require_scheme
from benchmark.tuning.inner import inner_split
from benchmark.tuning.journal import Journal
from benchmark.tuning.objective import RANK, Objective, baseline_scores
from benchmark.tuning.plan import Plan
from benchmark.tuning.problem import Problem
from benchmark.tuning.space import Space
from benchmark.tuning.study import DEFAULT, Outcome, Study
from benchmark.tuning.watching import NotWorthItError, ValidationWatch

VERSION = "1"
"""Raised whenever the same configuration is valued otherwise than before: studies are then begun anew."""
STATUS: dict[TrialState, Status] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "finished",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Bench:
    """All that is needed to try configurations of a plan."""

    plan: Plan
    space: Space
    problem: Problem
    objective: Objective
    study: Study
    journal: Journal
    identity: dict[str, Any]
    """What makes the study the same study."""

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Look up and check what a plan names, and open its study.

        Raises
        ------
        BenchmarkError
            For anything in the plan or the data that cannot be used; nothing is written then.
        """
        method = load_method(plan.method)
        method.require_ready()
        space = Space.of(method, plan.preset, plan.settings)
        objective = Objective.check(plan.objective, method)
        _check(plan)
        dataset = load_dataset(plan.dataset, **plan.columns)
        split = load_split(dataset, plan.split, plan.seed)
        problem = Problem.of(dataset, split)
        identity = _identity(plan, space, objective, split)
        study = Study(plan.storage, _name(identity), space, objective.direction, plan.trials, plan.seed)
        if objective.name == RANK:
            with report_to(Silent()):
                kept = study.kept("baselines", partial(baseline_scores, problem, plan.seed))
            objective = Objective(RANK, kept)
        tags = {key: identity[key] for key in ("method", "dataset", "split", "objective")}
        journal = Journal(study.name, {**tags, "split_seed": str(plan.seed)})
        return cls(plan, space, problem, objective, study, journal, identity)

    def scores(self, drawn: dict[str, Any]) -> pd.DataFrame:
        """Fit the method with drawn hyper-parameters and score its predictions."""
        config = self.space.config(drawn)
        return self.problem.scores(self.space.method(config, seed=self.plan.seed, device=self.plan.device))


def work(bench: Bench, deadline: float, done: Callable[[], None]) -> None:
    """Try configurations until there are enough.

    Parameters
    ----------
    bench
        What they are tried on.
    deadline
        Moment (`time.time`) from which none is begun.
    done
        Called after each.
    """
    while time.time() < deadline and (trial := bench.study.claim()) is not None:
        _try(bench, trial)
        done()


def _try(bench: Bench, trial: Trial) -> None:
    """Try one configuration, and write down what came of it, whatever it was."""
    drawn = {} if trial.user_attrs.get(DEFAULT) else trial.params
    usual = bench.space.default
    values = {name: drawn.get(name, getattr(usual, name)) for name in bench.space.distributions}
    run_id = bench.journal.begin(trial.number, values)
    attempt = _Attempt(bench, trial, drawn)
    try:
        outcome = attempt.outcome()
    except KeyboardInterrupt:
        bench.study.give_back(trial)
        outcome = Outcome(TrialState.FAIL, reason="stopped from the keyboard")
        bench.journal.end(run_id, "interrupted", outcome, attempt.curves)
        raise
    bench.study.tell(trial, outcome)
    bench.journal.end(run_id, STATUS[outcome.state], outcome, attempt.curves)


@dataclass
class _Attempt:
    bench: Bench
    trial: Trial
    drawn: dict[str, Any]
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def outcome(self) -> Outcome:
        """What comes of it; a method may fail in any way."""
        twin = self.bench.study.twin(self.trial)
        if twin is not None:
            return Outcome(TrialState.COMPLETE, twin.value, twin.user_attrs.get("metrics"))
        start = time.perf_counter()
        try:
            scores = self._scores()
            value = self.bench.objective.value(scores)
        except NotWorthItError:
            return Outcome(TrialState.PRUNED, seconds=time.perf_counter() - start)
        except Exception as error:
            first = str(error).partition("\n")[0]
            reason = first if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {first}"
            return Outcome(TrialState.FAIL, seconds=time.perf_counter() - start, reason=reason)
        means = {name: float(mean) for name, mean in scores.mean().items() if mean == mean}
        return Outcome(TrialState.COMPLETE, value, means, time.perf_counter() - start)

    def _scores(self) -> pd.DataFrame:
        with report_to(ValidationWatch(partial(self.bench.study.is_hopeless, self.trial))):
            keeper = CurveKeeper()
            self.curves = keeper.curves
            with report_to(keeper):
                return self.bench.scores(self.drawn)


def _check(plan: Plan) -> None:
    require_scheme(plan.split)
    require_device(plan.device)


def _identity(plan: Plan, space: Space, objective: Objective, split: Split) -> dict[str, Any]:
    """What makes a study the same study: everything that decides the values of its trials, and the draws."""
    return {
        "version": VERSION,
        "method": space.method.name,
        "method_version": space.method.version,
        "source_digest": source_digest(space.method),
        "dataset": split.dataset,
        "dataset_digest": split.dataset_digest,
        "split": split.scheme,
        "seed": split.seed,
        "split_digest": split.digest,
        "inner_digest": inner_split(split).digest,
        "objective": objective.name,
        "metric_versions": objective.versions,
        "preset": plan.preset or "default",
        "config": space.default.model_dump(mode="json"),
        "search": {name: str(place) for name, place in space.distributions.items()},
        "cells": CELLS,
    }


def _name(identity: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    names = ("method", "dataset", "split", "seed", "preset", "objective")
    return " ".join(str(identity[name]) for name in names) + f" {digest[:12]}"
