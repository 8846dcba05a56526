"""What a configuration is tried on: the training and validation part of a split, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmark.contexts import labels_of
from benchmark.data import Dataset
from benchmark.data.on_disk import take
from benchmark.evaluation.leaks import check_views
from benchmark.evaluation.scoring import References, references_of, score
from benchmark.method import Method
from benchmark.perturbation import CONTROL
from benchmark.predicting import CELLS, predict_all, sample_cells
from benchmark.splits import Split
from benchmark.splits.views import control_cells, training_views
from benchmark.tuning.inner import inner_split


@dataclass(frozen=True)
class Problem:
    """A split whose test part is the validation part of another, with the cells that it names.

    Attributes
    ----------
    dataset
        Without the cells of any perturbation that is not named in `split`.
    split
        ``test`` holds the perturbations that configurations are judged on.
    references
        What their responses are measured against.
    start
        Control cells that predictions start from, as many as in a run.
    """

    dataset: Dataset
    split: Split
    references: References
    start: AnnData

    @classmethod
    def of(cls, dataset: Dataset, split: Split) -> Self:
        """Leave the test cells of a split behind.

        Raises
        ------
        BenchmarkError
            When there are too few training perturbations, or what is left holds cells that are to be
            predicted.
        """
        inner = inner_split(split)
        named = {CONTROL, *inner.train, *inner.validation, *inner.test}
        rows = np.isin(labels_of(dataset.adata.obs), list(named))
        kept = replace(dataset, adata=take(dataset.adata, rows))
        train, validation = training_views(kept, inner)
        check_views(kept, inner, train, validation)
        start = sample_cells(control_cells(kept, inner), CELLS, split.seed)
        return cls(kept, inner, references_of(kept, inner), start)

    @property
    def labels(self) -> tuple[str, ...]:
        """The perturbations that configurations are judged on."""
        return self.split.test

    def scores(self, method: Method) -> pd.DataFrame:
        """Fit a method and score what it predicts; see `benchmark.evaluation.metrics.evaluate.evaluate`.

        A perturbation that the method refuses is scored as the train mean, as in a run.
        """
        train, validation = training_views(self.dataset, self.split)
        method.fit(train, validation)
        predicted, _ = predict_all(method, self.start, self.labels, lambda: (train, validation))
        return score(self.dataset, self.split, predicted, method.predicts, self.references)
