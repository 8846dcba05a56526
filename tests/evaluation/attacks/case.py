"""The contest that attacks are entered in: honest predictions of a split, and files scored beside them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmark.data import Dataset
from benchmark.evaluation.metrics import METRICS, headline_metrics
from benchmark.evaluation.submission import Submission, read_submission
from benchmark.means import MovableCells
from benchmark.perturbation import CONTROL, Perturbation
from benchmark.predicting import CELLS, predict_all, sample_cells
from benchmark.registry import load_method
from benchmark.runs.handed_in import score_submission
from benchmark.splits import Split
from benchmark.splits.views import control_cells, held_out_cells, training_views

Predictions: TypeAlias = Mapping[str, np.ndarray]
"""Label -> float32 (cells, genes), log1p of counts per 10,000."""

Edit: TypeAlias = Callable[[AnnData], AnnData]

BASES = ("no_change", "train_mean", "additive")
"""Honest methods whose predictions are attacked."""

HONEST = (*BASES, "main_effects", "linear")
"""The rows that an attack is ranked among."""


@dataclass(frozen=True, eq=False)
class Known:
    """What a participant has: the control cells of methods, (cells, genes), and the gene names."""

    control: np.ndarray
    genes: tuple[str, ...]

    def targets(self, *labels: str) -> list[int]:
        """Columns of the genes that any of these perturbations names; only measured ones."""
        named = {gene for label in labels for gene in Perturbation.parse(label).genes}
        return [index for index, gene in enumerate(self.genes) if gene in named]


@dataclass(frozen=True, eq=False)
class Attack:
    """One way to cheat.

    Attributes
    ----------
    name, does, why
        What it is called, what it does, and why that pays or does not: a sentence each.
    submit
        Makes the file from honest predictions.
    raises
        The headline metrics that it raises for some base on `simulated`.
    options
        What `read_submission` is told besides.
    """

    name: str
    does: str
    why: str
    submit: Callable[[Predictions, Known], AnnData]
    raises: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)


def as_file(predicted: Predictions, known: Known) -> AnnData:
    """Lay controls and predicted cells under one another, as a submission does."""
    labels = np.repeat([CONTROL, *predicted], [len(known.control), *map(len, predicted.values())])
    values = np.concatenate([known.control, *predicted.values()]).astype(np.float32)
    names = pd.Index([f"cell-{index}" for index in range(len(values))])
    return AnnData(
        values,
        obs=pd.DataFrame({"perturbation": labels}, index=names, dtype=object),
        var=pd.DataFrame(index=list(known.genes)),
    )


def with_changes(
    predicted: Predictions, known: Known, rule: Callable[[np.ndarray], np.ndarray]
) -> Predictions:
    """Replace the mean change of each perturbation, (genes,), by what the rule makes of it."""
    control = known.control.mean(axis=0, dtype=np.float64)
    return {
        label: MovableCells(cells).to(control + rule(cells.mean(axis=0, dtype=np.float64) - control))
        for label, cells in predicted.items()
    }


def spiked(predicted: Predictions, columns: Callable[[str], list[int]], value: float) -> Predictions:
    """Set some columns of each perturbation, by its label, to a value."""
    found = {label: cells.copy() for label, cells in predicted.items()}
    for label, cells in found.items():
        cells[:, columns(label)] = value
    return found


@dataclass(frozen=True, eq=False)
class Contest:
    """A split with the predictions of the honest methods for it.

    Attributes
    ----------
    dataset, split
        What is predicted.
    known
        What participants have.
    honest
        Method -> its predictions.
    """

    dataset: Dataset
    split: Split
    known: Known
    honest: dict[str, Predictions]

    @classmethod
    def on(cls, dataset: Dataset, split: Split) -> Self:
        """Fit the honest methods and predict the test perturbations as a run does."""
        train, validation = training_views(dataset, split)
        control = control_cells(dataset, split)
        start = sample_cells(control, CELLS, seed=0)
        honest = {}
        for name in HONEST:
            method = load_method(name)().fit(train, validation)
            honest[name], _ = predict_all(method, start, split.test, lambda: (train, validation))
        return cls(dataset, split, Known(control.X.toarray(), tuple(dataset.adata.var_names)), honest)

    def hand_in(self, file: AnnData, folder: Path, **options: object) -> Submission:
        """Write the file and read it as a submission."""
        path = folder / "submission.h5ad"
        with warnings.catch_warnings():
            # That names are repeated is what some attacks are about.
            warnings.filterwarnings("ignore", message=".*names are not unique", category=UserWarning)
            file.write_h5ad(path)
        return read_submission(path, self.dataset, self.split, **options)

    def scores(self, submission: Submission) -> pd.DataFrame:
        """Score a submission."""
        return score_submission(submission, self.dataset, self.split)

    @property
    def truth(self) -> Predictions:
        """The real cells, which no participant has; only what is refused is made from them."""
        real = held_out_cells(self.dataset, self.split)
        return {label: real[label].toarray() for label in real}

    def honest_file(self, method: str, folder: Path) -> Submission:
        """Hand in an honest method's predictions."""
        return self.hand_in(as_file(self.honest[method], self.known), folder)

    def attacked_file(self, attack: Attack, base: str, folder: Path) -> Submission:
        """Hand in what an attack makes of the predictions of a base."""
        return self.hand_in(attack.submit(self.honest[base], self.known), folder, **attack.options)

    def honest_scores(self, method: str, folder: Path) -> pd.DataFrame:
        """Score an honest method from a file of its predictions."""
        return self.scores(self.honest_file(method, folder))

    def attacked_scores(self, attack: Attack, base: str, folder: Path) -> pd.DataFrame:
        """Score what an attack makes of the predictions of a base."""
        return self.scores(self.attacked_file(attack, base, folder))


def gains(base: pd.DataFrame, attacked: pd.DataFrame) -> pd.Series:
    """How much better the mean of each metric became; metrics that do not judge are left out."""
    better = {name: METRICS[name].spec.higher_is_better for name in base}
    sign = pd.Series({name: 1 if up else -1 for name, up in better.items() if up is not None})
    return (attacked.mean() - base.mean())[sign.index] * sign


def share_closed(base: pd.DataFrame, attacked: pd.DataFrame) -> pd.Series:
    """How much of the way from the base to a perfect score is gained, for each metric that judges."""
    gained = gains(base, attacked)
    best = pd.Series({name: METRICS[name].spec.best for name in gained.index}, dtype=float)
    return gained / (best - base.mean()[gained.index]).abs()


def mean_ranks(means: pd.DataFrame, metrics: Sequence[str] | None = None) -> pd.Series:
    """Mean rank over metrics, 1 the best: what the board ranks by.

    Parameters
    ----------
    means
        A row per method, a column per metric.
    metrics
        The headline metrics, unless said otherwise.
    """
    names = headline_metrics() if metrics is None else list(metrics)
    up = pd.Series({name: -1.0 if METRICS[name].spec.higher_is_better else 1.0 for name in names})
    return (means[names] * up).rank().mean(axis=1)
