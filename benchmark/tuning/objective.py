"""What tuning minimises or maximises: the mean rank among baselines, or the mean of one metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd

from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import METRICS, headline_metrics
from benchmark.method import Method
from benchmark.registry import load_method
from benchmark.tuning.plan import RANK, Direction
from benchmark.tuning.problem import Problem

BASELINES = ("no_change", "train_mean", "additive", "linear", "main_effects")
"""The methods that a configuration is ranked among, in their default configurations."""

Scores = dict[str, dict[str, list[float | None]]]
"""Baseline -> headline metric -> one value per perturbation, None where undefined; JSON holds it."""


@dataclass(frozen=True)
class Objective:
    """How a configuration is valued by its scores on the perturbations of a problem.

    Attributes
    ----------
    name
        ``"mean_rank"``, or the name of a metric.
    baselines
        What the baselines score on the same perturbations, where it is ``"mean_rank"``.
    """

    name: str
    baselines: Scores = field(default_factory=dict)

    @classmethod
    def check(cls, name: str, method: type[Method]) -> Self:
        """Make an objective that has no baselines yet.

        Raises
        ------
        BenchmarkError
            When there is no such metric, or it cannot judge this method.
        """
        if name != RANK and name not in METRICS:
            raise unknown("objective", name, [RANK, *METRICS], "`python -m benchmark metrics` lists metrics")
        if name != RANK:
            spec = METRICS[name].spec
            if spec.higher_is_better is None:
                raise BenchmarkError(f"The metric '{name}' describes and does not judge; choose another.")
            if spec.needs == "cells" and method.predicts == "mean":
                raise BenchmarkError(
                    f"The metric '{name}' is for predicted cells, and '{method.name}' predicts means; "
                    "choose another objective."
                )
        return cls(name)

    @property
    def direction(self) -> Direction:
        """Which way is better."""
        higher = self.name != RANK and METRICS[self.name].spec.higher_is_better
        return "maximize" if higher else "minimize"

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the metrics that decide."""
        names = headline_metrics() if self.name == RANK else [self.name]
        return {name: METRICS[name].spec.version for name in names}

    def value(self, scores: pd.DataFrame) -> float:
        """Value scores, (perturbations, metrics), as `benchmark.evaluation.metrics.evaluate` returns them.

        Raises
        ------
        BenchmarkError
            When the objective is defined for no perturbation.
        """
        value = mean_rank(scores, self.baselines) if self.name == RANK else float(scores[self.name].mean())
        if not np.isfinite(value):
            raise BenchmarkError(
                f"The objective '{self.name}' is defined for none of the {len(scores)} validation "
                "perturbations; choose another."
            )
        return value


def baseline_scores(problem: Problem, seed: int) -> Scores:
    """Fit the baselines on a problem and score them."""
    found = {}
    for name in BASELINES:
        scores = problem.scores(load_method(name)(seed=seed))
        found[name] = {metric: _plain(scores[metric]) for metric in headline_metrics()}
    return found


def mean_rank(scores: pd.DataFrame, baselines: Scores) -> float:
    """Mean over headline metrics and perturbations of the rank among the baselines; lower is better.

    For one metric of one perturbation the rank is 1 plus the number of baselines that score better, plus
    half of those that score the same; an undefined score is the worst. Where no baseline is defined there is
    no rank, and the pair does not count.

    Ranks are coarse: every configuration that beats all baselines, or none, has the same. So a term is
    subtracted that is smaller than the least difference of two mean ranks, and thus decides between equal
    ones alone: with z the distance from the mean of the baselines in their standard deviations, the mean of
    z / (1 + |z|), over four times the number of pairs.

    Parameters
    ----------
    scores
        (perturbations, metrics).
    baselines
        Of the same perturbations in the same order.

    Returns
    -------
    float
        About 1 to 1 + the number of baselines; NaN where nothing has a rank.
    """
    ranks, standings = [], []
    for metric in headline_metrics():
        sign = METRICS[metric].spec.sign
        own = sign * scores[metric].to_numpy()
        others = sign * np.array([of[metric] for of in baselines.values()], dtype=float)
        ranked = ~np.isnan(others).all(axis=0)
        own, others = own[ranked], others[:, ranked]
        worst = np.where(np.isnan(own), -np.inf, own)
        rivals = np.where(np.isnan(others), -np.inf, others)
        ranks.append(1 + (rivals > worst).sum(axis=0) + (rivals == worst).sum(axis=0) / 2)
        spread = np.nanstd(others, axis=0)
        z = (own - np.nanmean(others, axis=0)) / np.where(spread > 0, spread, 1.0)
        standings.append(np.where(np.isnan(z), -1.0, z / (1 + np.abs(z))))
    rank, standing = np.concatenate(ranks), np.concatenate(standings)
    return float(rank.mean() - standing.mean() / (4 * len(rank))) if len(rank) else float("nan")


def _plain(values: pd.Series) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
