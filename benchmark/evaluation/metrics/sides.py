"""The two sides of a perturbation as metrics read them: of log values, and of counts where both hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmark.evaluation.metrics.interaction_fit import shares_of_singles
from benchmark.evaluation.metrics.reference import Reference
from benchmark.evaluation.metrics.response import FDR_THRESHOLD, Panel, Response
from benchmark.evaluation.metrics.spec import MetricSpec

Pair = tuple[Response, Response]


@dataclass(frozen=True, eq=False)
class Bulks:
    """What a panel needs of one perturbation.

    Attributes
    ----------
    reference
        What both sides rest on.
    real, predicted
        float64, (genes,): the mean of each side minus that of the real control cells.
    noise
        `Response.noise` of both.
    called
        Boolean, (genes,): the real DE genes.
    shares
        How the singles share in the double on both sides, see `shares_of_singles`; NaN where it is none.
    """

    reference: Reference
    real: np.ndarray
    predicted: np.ndarray
    noise: tuple[float, float]
    called: np.ndarray
    shares: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, pair: Pair) -> Self:
        """Take them of a real and a predicted response."""
        truth, guess = pair
        centre = truth.reference.control.mean
        return cls(
            truth.reference,
            truth.mean - centre,
            guess.mean - centre,
            (truth.noise, guess.noise),
            truth.fdr < FDR_THRESHOLD,
            shares_of_singles(truth, guess),
        )


@dataclass(frozen=True, eq=False)
class Sides:
    """The real and the predicted response to one perturbation.

    Attributes
    ----------
    logs
        Of log values.
    counts
        Of counts, where both sides hold them.
    """

    logs: Pair
    counts: Pair | None = None

    def of(self, spec: MetricSpec) -> Pair:
        """Return what a metric reads."""
        return self.counts if self.counts is not None and spec.of_counts else self.logs

    @property
    def bulks(self) -> tuple[Bulks, Bulks]:
        """Of log values and of counts: the same object where there are no counts."""
        of_logs = Bulks.of(self.logs)
        return of_logs, of_logs if self.counts is None else Bulks.of(self.counts)


def panels(
    labels: Sequence[str], of_logs: Sequence[Bulks], of_counts: Sequence[Bulks]
) -> tuple[Panel, Panel]:
    """Put what `Sides.bulks` gave for all perturbations together."""
    panel = _panel(labels, of_logs)
    return panel, panel if of_counts[0] is of_logs[0] else _panel(labels, of_counts)


def _panel(labels: Sequence[str], bulks: Sequence[Bulks]) -> Panel:
    real_noise, predicted_noise = np.array([each.noise for each in bulks]).T
    return Panel(
        labels=tuple(labels),
        reference=bulks[0].reference,
        real=np.stack([each.real for each in bulks]),
        predicted=np.stack([each.predicted for each in bulks]),
        real_noise=real_noise,
        predicted_noise=predicted_noise,
        called=np.stack([each.called for each in bulks]),
        real_shares=np.stack([each.shares[0] for each in bulks]),
        predicted_shares=np.stack([each.shares[1] for each in bulks]),
    )
