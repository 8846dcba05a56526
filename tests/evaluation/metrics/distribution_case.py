"""Cells of both sides of a perturbation, for the tests of distributions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmark.evaluation.metrics import METRICS, Response
from tests.evaluation.metrics.metric_case import differential_expression

FAMILY = [name for name, declared in METRICS.items() if declared.spec.family == "distribution"]


def score(name: str, real: Response, predicted: Response) -> float:
    """Score one perturbation by name."""
    return METRICS[name](real, predicted)


def sides(control: np.ndarray, *cells: np.ndarray) -> list[Response]:
    """Make responses that share the control cells."""
    first = differential_expression(control, cells[0])
    rest = [replace(differential_expression(control, side), reference=first.reference) for side in cells[1:]]
    return [first, *rest]


def column(*values: float) -> np.ndarray:
    """Make cells of one gene."""
    return np.array(values, dtype=np.float32)[:, None]


def drawn(seed: int, n_real: int = 12, n_predicted: int = 9, genes: int = 7) -> list[Response]:
    """Draw cells of both sides, many values of them 0 and some equal."""
    rng = np.random.default_rng(seed)
    control, real, predicted = (
        np.maximum(rng.normal(mean, 1.5, (n, genes)).round(1), 0)
        for mean, n in ((1, 10), (1.3, n_real), (0.8, n_predicted))
    )
    return sides(control + rng.random((10, genes)), real, predicted)
