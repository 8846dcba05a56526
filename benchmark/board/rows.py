"""What stands on the board: blocks of rows, with their estimates, scaled scores and comparisons."""

from __future__ import annotations

from collections import Counter
from functools import cached_property

from pydantic import BaseModel

from benchmark.evaluation.metrics import headline_metrics

HEADLINE = tuple(headline_metrics())

BESIDE = {"mse": "mse_unbiased"}
"""Headline metric -> what stands beside it and ranks nobody: the same without the noise of the real means."""

SHOWN = tuple(name for metric in HEADLINE for name in (metric, BESIDE.get(metric)) if name is not None)
"""What a board shows unless it is asked for more."""

LIMIT = "limit"
"""The name under which is recorded what a model that knew the true means would score."""

CEILING = "ceiling"
"""The name of the replicate ceiling: what one half of the real cells scores as a prediction of the other."""

BOUNDS = (LIMIT, CEILING)
"""Recorded beside the methods; they are no methods and have no rank among them."""

BASELINE = "train_mean"
"""The method whose score is the zero of the scale."""

ANCHORS = ("no_change", BASELINE, "additive")
"""The methods that are on every board, beside the bounds."""


SUBMITTED = "submitted"
"""The configuration of predictions that were made elsewhere and scored here."""


class Estimate(BaseModel):
    """Mean of a metric, None where it is defined for no perturbation, and its bootstrap interval.

    Of few perturbations there is no interval.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    """Perturbations, over all seeds, for which the metric is defined."""
    missing: int
    """Perturbations, over all seeds, for which it is not."""
    training: float | None = None
    """Which part of the variance of the mean is that of trainings; None of fewer than three."""


class Scaled(Estimate):
    """Mean of a metric on the scale where the baseline is 0 and the upper bound 1, never clipped.

    `n` and `missing` count the perturbations that discriminate. The others are a stratum of their own.
    """

    flat: int
    """Perturbations, over all seeds, that cannot discriminate: the bound is hardly above the baseline."""
    flat_mean: float | None
    """The plain mean of the metric over them."""


class Comparison(BaseModel):
    """A row against the next lower one in one metric, paired by perturbation and seed.

    Differences are turned so that positive means: the upper row is better. None where nothing can be said.
    """

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    """Two-sided Wilcoxon signed-rank test over perturbations; with three trainings or more the p-value over
    trainings and perturbations, where that is larger."""
    corrected: float | None = None
    """The same after Holm's correction over all tests of the block."""
    n: int = 0
    """Perturbations that both rows define in a seed that both have."""


class Transfer(BaseModel):
    """What a row scores in each context that is tested, of what was trained alike."""

    trained: str
    """On the perturbations of which contexts."""
    tested: dict[str, dict[str, Estimate]]
    """Context that is tested -> headline metric; empty where the row was not tested there."""
    mean: dict[str, Estimate]
    """Headline metric -> mean over these contexts, each with the same weight."""


class Row(BaseModel):
    """One configuration of one method on one data set and split scheme."""

    dataset: str
    dataset_digest: str
    split: str
    method: str
    method_version: str = ""
    configuration: str
    config_digest: str = ""
    status: str
    rank: int | None = None
    mean_rank: float | None = None
    mean_rank_low: float | None = None
    mean_rank_high: float | None = None
    seeds: int
    seed_list: list[int]
    cells: int
    samples: int = 1
    coverage: float | None = None
    fallbacks: int = 0
    sampling_noise: float | None = None
    """What drawing cells adds to its MSE; None where the method knows its mean."""
    seconds: float | None = None
    knows_truth: bool = False
    """Whether it is a control that was told the truth, and has no rank."""
    metrics: dict[str, Estimate] = {}
    metric_versions: dict[str, str] = {}
    tuning_trials: int = 0
    """Configurations that were tried before this one was chosen; 0 where it is no file of `tune`."""
    tuning_seconds: float = 0.0
    """How long that took."""
    tuning_overlap: int = 0
    """Test perturbations by whose scores it was chosen, in the seed that has most of them."""
    outdated: list[str] = []
    """Metrics that were scored with another version than the present one."""
    scaled: dict[str, Scaled] = {}
    groups: dict[str, dict[str, Estimate]] = {}
    """Group of test perturbations -> headline metric; empty where the split has one group."""
    transfer: list[Transfer] = []
    """By where it was trained; empty where one context is tested."""
    next_row: str = ""
    """The next lower ranked row, or the one that was asked for; `against_next` compares this one with it."""
    next_seeds: list[int] = []
    against_next: dict[str, Comparison] = {}
    best_in: list[str] = []
    """Headline metrics in which no ranked row has a better mean."""
    behind_best: dict[str, Comparison] = {}
    """Headline metric -> the best ranked row against this one; without those in which it is the best."""
    reason: str = ""
    run_ids: list[str]

    @property
    def label(self) -> str:
        """What it is called: see `label_of`."""
        return label_of(self.method, self.configuration, self.samples)

    @property
    def training_share(self) -> float:
        """Which part of the variance is that of trainings, in the headline metric where it is largest."""
        known = (self.metrics[name].training for name in HEADLINE if name in self.metrics)
        return max((share or 0.0 for share in known), default=0.0)

    @property
    def is_tuned(self) -> bool:
        """Whether `tune` found its configuration."""
        return self.tuning_trials > 0

    @property
    def is_bound(self) -> bool:
        """Whether it is the limit or the replicate ceiling, finished."""
        return self.method in BOUNDS and self.status == "finished"

    @property
    def is_anchor(self) -> bool:
        """Whether it is one of the methods that come with any other."""
        return self.method in ANCHORS and self.configuration == "default"

    @property
    def is_submitted(self) -> bool:
        """Whether its predictions came from elsewhere."""
        return self.configuration == SUBMITTED

    @property
    def is_shown(self) -> bool:
        """Whether it has scores to show; all others are only mentioned."""
        return self.status == "finished"


class Block(BaseModel):
    """The rows that may be compared with each other: the bounds, ranked ones, failures last."""

    dataset: str
    dataset_digest: str
    split: str
    other_split: str = ""
    """Digest of the split file, where it is not the one that the newest run of its seed used."""
    context: str = ""
    """The only context whose conditions are in it; empty where it has all."""
    against: str = ""
    """The row that the others are compared with; empty where each is with the next lower one."""
    controls: str = ""
    """How many control cells there are for methods and for what is real, as text; empty where not known."""
    unfinished: list[str] = []
    """What is to be said of rows that a longer training makes better, one sentence each."""
    rows: list[Row]

    @property
    def seeds(self) -> list[int]:
        """Every seed that any ranked row has; a row with fewer is not quite comparable."""
        return sorted({seed for row in self.rows if row.rank is not None for seed in row.seed_list})

    @property
    def rank_seeds(self) -> list[int]:
        """The seeds that ranks compare: those that all ranked rows have."""
        ranked = [set(row.seed_list) for row in self.rows if row.rank is not None]
        return sorted(set.intersection(*ranked)) if ranked else []

    @cached_property
    def usual_cells(self) -> int:
        """How many cells most of the ranked rows are predicted for, or of all rows where none is ranked."""
        methods = [row for row in self.rows if not row.is_bound]
        cells = Counter(row.cells for row in methods if row.rank is not None)
        cells = cells or Counter(row.cells for row in methods)
        return cells.most_common(1)[0][0] if cells else 0

    @property
    def tuned(self) -> list[Row]:
        """The rows with scores whose configurations were tuned."""
        return [row for row in self.rows if row.is_shown and row.is_tuned]

    @property
    def usual_trials(self) -> int:
        """How many trials most of the tuned rows took: of numbers equally common the largest; 0 if none."""
        trials = Counter(row.tuning_trials for row in self.tuned)
        return max(trials, key=lambda number: (trials[number], number), default=0)

    def name(self, row: Row) -> str:
        """Label of a row, with its cells where most rows have another number; no two are alike."""
        name = self._with_cells(row)
        alike = self._by_name.get(name, []) if row.is_shown else []
        if len(alike) < 2:
            return name
        if len({each.method_version for each in alike}) == len(alike):
            return f"{name}, version {row.method_version}"
        return f"{name}, hyper-parameters {row.config_digest[:6]}"

    def _with_cells(self, row: Row) -> str:
        is_odd = row.method not in BOUNDS and row.cells != self.usual_cells
        return f"{row.label}, {row.cells} cells" if is_odd else row.label

    @cached_property
    def _by_name(self) -> dict[str, list[Row]]:
        """The rows with scores, by what they would be called."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.is_shown:
                found.setdefault(self._with_cells(row), []).append(row)
        return found


def label_of(method: str, configuration: str, samples: int) -> str:
    """Method, with its configuration and its samples per control cell where they are not the default."""
    unusual = [] if configuration == "default" else [configuration]
    unusual += [] if samples == 1 else [f"{samples} samples"]
    return f"{method} ({', '.join(unusual)})" if unusual else method
