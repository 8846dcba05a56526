"""Which rows were not trained to their end: a longer training of the same predicts better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.statistics import SeedScores, interval
from benchmark.records.tracking import StoredRun

JUDGED = "mse"
"""What a longer training is judged by: it says of most perturbations something, and of each much."""


def still_gaining(runs: Sequence[StoredRun], parts: Sequence[StoredRun]) -> list[str]:
    """Say of each configuration that has runs at a larger budget whether those are better.

    Parameters
    ----------
    runs
        Those that rows are made of, newest first, of one block.
    parts
        Runs of the same block at other budgets, or with a part of the training perturbations.

    Returns
    -------
    list of str
        One sentence for each configuration whose largest budget has a clear lead over its own: the interval
        over test perturbations of the paired difference is above zero.
    """
    said = []
    for (method, label), by_budget in sorted(_longer(parts).items()):
        names = (method, label)
        own = _newest([run for run in runs if (run.tags["method"], run.tags["configuration"]) == names])
        budget = max(by_budget)
        gains = paired_gains(by_budget[budget], own)
        if len(gains) > 1 and interval(gains)[0] > 0:
            low, high = interval(gains)
            said.append(
                f"{method} ({label}) is not trained to its end: with {budget:g} times the training its "
                f"{JUDGED} is better by {gains.mean():.2g} [{low:.2g}, {high:.2g}]"
            )
    return said


def paired_gains(longer: SeedScores, own: SeedScores, metric: str = JUDGED) -> np.ndarray:
    """Differences by perturbation, mean over the seeds of both; positive: the longer training is better."""
    found: dict[str, list[float]] = {}
    for seed in longer.keys() & own.keys():
        one, other = longer[seed].get(metric, {}), own[seed].get(metric, {})
        for name in one.keys() & other.keys():
            difference = METRICS[metric].spec.sign * (one[name] - other[name])
            if not np.isnan(difference):
                found.setdefault(name, []).append(difference)
    return np.array([np.mean(found[name]) for name in sorted(found)])


def _longer(parts: Sequence[StoredRun]) -> Mapping[tuple[str, str], Mapping[float, SeedScores]]:
    """Method and own configuration -> budget above 1 -> scores of each seed."""
    found: dict[tuple[str, str], dict[float, dict]] = {}
    for run in reversed(parts):
        budget = float(run.tags.get("budget", 1))
        if run.status == "finished" and budget > 1 and float(run.tags.get("train_share", 1)) == 1:
            own = run.tags["configuration"].removesuffix(f", budget={budget:g}")
            by_budget = found.setdefault((run.tags["method"], own), {})
            by_budget.setdefault(budget, {})[int(run.tags["seed"])] = run.scores
    return found


def _newest(runs: Sequence[StoredRun]) -> SeedScores:
    """Scores of the newest finished run of each seed, from runs that begin with the newest."""
    return {int(run.tags["seed"]): run.scores for run in reversed(runs) if run.status == "finished"}
