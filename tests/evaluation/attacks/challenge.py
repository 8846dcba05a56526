"""The contest as the Virtual Cell Challenge 2026 would judge it: its six metrics of counts, and its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pandas as pd
from anndata import AnnData

from benchmark.data import Dataset
from benchmark.evaluation.metrics.sorted_cells import Matrix
from benchmark.runs.export import drawn_counts
from benchmark.splits import Split
from benchmark.splits.views import control_cells
from benchmark.studies.vcc2026.anchors import baseline, mean_of, replicate
from benchmark.studies.vcc2026.contexts import context_of
from benchmark.studies.vcc2026.scale import scaled, score
from benchmark.studies.vcc2026.suite import Context, means, measure

SCORE = "score"
"""The mean of the six on the scale from the mean response, 0, to a replicate, 1."""


@dataclass(frozen=True, eq=False)
class Challenge:
    """The test perturbations of a split as a context of the challenge.

    Attributes
    ----------
    context
        Their counts, and those of all control cells, which both sides share.
    control
        The control cells, which say how deep cells are.
    low, high
        What the mean response and a replicate score.
    """

    context: Context
    control: AnnData
    low: dict[str, float]
    high: dict[str, float]

    @classmethod
    def on(cls, dataset: Dataset, split: Split) -> Self:
        """Take the cells of a split and compute the anchors."""
        shared = split.sharing_controls()
        context = context_of(dataset, shared, "counts")
        high = mean_of(replicate(context))
        return cls(context, control_cells(dataset, shared), baseline(context), high)

    def judge(self, predicted: Mapping[str, Matrix]) -> pd.Series:
        """Score log values, of which counts are made as `export --format vcc` does: the six, and `SCORE`."""
        of_each = means(measure(self.context, drawn_counts(predicted, self.control)))
        return pd.Series({**of_each, SCORE: score(scaled(of_each, self.low, self.high))})
