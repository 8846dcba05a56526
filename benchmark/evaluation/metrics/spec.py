"""What a metric is: a pure function of the real and the predicted response, with a declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.evaluation.metrics.response import Panel, Response

Family = Literal[
    "expression", "DE", "rank", "distribution", "dependence", "interaction", "discovery", "uncertainty"
]
Score = Callable[[Response, Response], float]
PanelScore = Callable[[Panel], np.ndarray]

CONTROL_CELLS = "the real control cells, each side its own half"
"""What most metrics measure a response against, as their declarations say it."""


@dataclass(frozen=True)
class MetricSpec:
    """The declaration of one metric: what its numbers mean, without reading its code.

    Attributes
    ----------
    name
        The column in every table.
    version
        Raised whenever the same cells give another value than before.
    family
        What it is about.
    formula
        How it is computed, in one line, and where the definition comes from.
    range
        The least and the greatest possible value.
    higher_is_better
        Which way is better; None for a number that describes and does not judge.
    gene_set
        Which genes count.
    reference
        What the response is measured against.
    nan_means
        When the value is NaN, and what replaces an undefined value where it is not.
    headline
        Whether methods are ranked by it.
    reads
        What decides of the predicted side: its ``"mean"`` alone, whatever the spread and number of its cells,
        or its ``"cells"``.
    needs
        ``"cells"`` where the spread of predicted cells counts, so that it does not apply to a method that
        predicts means alone; the others that read cells take control cells with that mean.
    perfect
        The value of a perfect prediction, where it is not the end of the range.
    aliases
        What cell-eval2 calls the same quantity, where it has another name there.
    of_counts
        Whether it is taken of counts where both sides hold them, see `benchmark.evaluation.metrics.counts`.
        For the others, counts are made log1p of counts per 10,000 first, so that all rows of a board are
        measured alike.
    """

    name: str
    version: str
    family: Family
    formula: str
    range: tuple[float, float]
    higher_is_better: bool | None
    gene_set: str
    reference: str
    nan_means: str
    headline: bool = False
    reads: Literal["mean", "cells"] = "mean"
    needs: Literal["mean", "cells"] = "mean"
    perfect: float | None = None
    aliases: tuple[str, ...] = ()
    of_counts: bool = False

    @property
    def best(self) -> float | None:
        """The value of a perfect prediction; None for a number that does not judge."""
        if self.higher_is_better is None:
            return None
        return self.range[self.higher_is_better] if self.perfect is None else self.perfect

    @property
    def sign(self) -> float:
        """1 where more is better, else -1."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def heading(self) -> str:
        """The name, with an arrow that says which way is better."""
        return self.name + {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]


@dataclass(frozen=True)
class Metric:
    """A declared metric; call it with the real and the predicted response of one perturbation."""

    spec: MetricSpec
    score: Score

    def __call__(self, real: Response, predicted: Response) -> float:
        """Score one perturbation."""
        return float(self.score(real, predicted))


@dataclass(frozen=True)
class PanelMetric:
    """A declared metric of one perturbation among all; call it with the panel."""

    spec: MetricSpec
    score: PanelScore

    def __call__(self, panel: Panel) -> np.ndarray:
        """Score every perturbation: float64, (perturbations,)."""
        return np.asarray(self.score(panel), dtype=np.float64)


METRICS: dict[str, Metric | PanelMetric] = {}


def metric(spec: MetricSpec) -> Callable[[Score], Score]:
    """Register the function that follows, of one perturbation, under its declaration.

    Raises
    ------
    ValueError
        When the name is taken: two metrics would share one column.
    """

    def register(score: Score) -> Score:
        _add(Metric(spec, score))
        return score

    return register


def panel_metric(spec: MetricSpec) -> Callable[[PanelScore], PanelScore]:
    """Register the function that follows, of all perturbations together, under its declaration.

    Raises
    ------
    ValueError
        When the name is taken.
    """

    def register(score: PanelScore) -> PanelScore:
        _add(PanelMetric(spec, score))
        return score

    return register


def _add(declared: Metric | PanelMetric) -> None:
    name = declared.spec.name
    if name in METRICS:
        raise ValueError(f"Metric '{name}' is declared twice; give one of them another name.")
    METRICS[name] = declared


def headline_metrics() -> list[str]:
    """Names of the metrics that methods are ranked by, in the order of declaration."""
    return [name for name, declared in METRICS.items() if declared.spec.headline]
