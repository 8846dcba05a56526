"""What a metric counts on the way from the mean response to a replicate."""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmark.errors import BenchmarkError
from benchmark.studies.vcc2026.suite import SIX

ERRORS: Mapping[str, tuple[float, float]] = {
    "expr_mse_unbiased_capped_norm": (0.0, 1.0),
    "de_wilcoxon_lfc_nmae": (-6.0, math.inf),
}
"""Metrics of which less is better, and between what their scaled score is held."""

WORST = 0.0
"""What counts for another metric that is not defined: its least value."""


def scaled(
    values: Mapping[str, float], low: Mapping[str, float], high: Mapping[str, float]
) -> dict[str, float]:
    """Put each of the six on its scale: (value - low) / (high - low).

    Parameters
    ----------
    values
        What a prediction scores; NaN where a metric is not defined for any perturbation.
    low, high
        What the mean response and the replicate score.

    Returns
    -------
    dict
        Not clipped but for `ERRORS`, whose floor counts where one is not defined.

    Raises
    ------
    BenchmarkError
        When the replicate is not better than the mean response: there is no scale.
    """
    found = {}
    for name in SIX:
        sign = -1 if name in ERRORS else 1
        span = high[name] - low[name]
        if not sign * span > 0:
            raise BenchmarkError(
                f"A replicate scores {high[name]:.4g} in {name} and the mean response {low[name]:.4g}, so "
                "that there is no scale between them; use data with more cells of each perturbation or "
                "stronger effects."
            )
        floor, ceiling = ERRORS.get(name, (-math.inf, math.inf))
        value = values[name]
        if math.isnan(value):
            found[name] = floor if name in ERRORS else (WORST - low[name]) / span
        else:
            found[name] = min(max((value - low[name]) / span, floor), ceiling)
    return found


def score(of_each: Mapping[str, float]) -> float:
    """Return the score of a context: the mean of the six."""
    return sum(of_each[name] for name in SIX) / len(SIX)
