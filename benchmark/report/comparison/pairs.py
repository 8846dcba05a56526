"""Paired differences of two runs that answered the same question."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from benchmark.board import HEADLINE
from benchmark.board.intervals import FEWEST
from benchmark.data import Dataset
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.metrics.sorted_cells import mean_of
from benchmark.perturbation import CONTROL
from benchmark.records.lookup import Place, metric_versions, run_title
from benchmark.records.record import Record
from benchmark.records.tracking import StoredRun
from benchmark.report.gallery.effect_size import effect_sizes
from benchmark.splits.views import cells_by_label
from benchmark.studies.order.statistics import Difference, scores_of
from benchmark.studies.order.statistics import compare as compare_arms

GAIN = "gain_"
"""Begins the columns with differences, turned so that positive means: the first run is better."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two runs differ.

    Attributes
    ----------
    first, second
        Their records.
    metrics
        One difference per metric; positive means that the first is better.
    table
        One row per test perturbation: "perturbation", "group", "effect_size" (NaN where the data could not be
        loaded), "refused_by" and, for each metric, "first_NAME", "second_NAME" and "gain_NAME".
    notes
        What whoever reads it should know, a sentence each.
    """

    first: Record
    second: Record
    metrics: list[Difference]
    table: pd.DataFrame
    notes: list[str]

    def extremes(self, metric: str, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the perturbations of the largest wins and of the largest losses of the first run."""
        gain = f"{GAIN}{metric}"
        ordered = self.table.dropna(subset=[gain]).sort_values(gain, ascending=False, kind="stable")
        wins, losses = ordered[ordered[gain] > 0], ordered[ordered[gain] < 0]
        return wins.head(count), losses.iloc[::-1].head(count)

    def by_group(self) -> pd.DataFrame:
        """Return the mean gain in each metric and the number of perturbations, per group."""
        gains = [f"{GAIN}{each.metric}" for each in self.metrics]
        grouped = self.table.groupby("group")
        return grouped[gains].mean().assign(perturbations=grouped.size()).reset_index()


def require_comparable(first: StoredRun, second: StoredRun, metrics: Sequence[str]) -> None:
    """Refuse runs that did not answer the same question, or were scored by other metrics.

    Raises
    ------
    BenchmarkError
        When data, split or the version of a metric differ, or both are the same run.
    """
    both = f"Runs {first.run_id[:8]} ({run_title(first)}) and {second.run_id[:8]} ({run_title(second)})"
    if first.run_id == second.run_id:
        raise BenchmarkError(f"Both names mean run {first.run_id[:8]} ({run_title(first)}); name another.")
    one, other = Place.of(first), Place.of(second)
    if one.dataset_digest != other.dataset_digest:
        raise BenchmarkError(f"{both} cannot be compared: their data differ; run both on the same data set.")
    if one.split_digest != other.split_digest:
        raise BenchmarkError(f"{both} cannot be compared: their splits differ; run both on the same one.")
    versions, others = metric_versions(first), metric_versions(second)
    differ = [name for name in metrics if versions.get(name) != others.get(name)]
    if differ:
        raise BenchmarkError(
            f"{both} cannot be compared: they were scored with different versions of {', '.join(differ)}; "
            "`python -m benchmark rescore` brings both up to date."
        )


def chosen_metrics(asked: Sequence[str], first: StoredRun, second: StoredRun) -> tuple[str, ...]:
    """Return the metrics to compare in: those that were asked for, or the headline metrics both runs have.

    Raises
    ------
    BenchmarkError
        When one is unknown, does not judge, or a run was not scored in it.
    """
    common = metric_versions(first).keys() & metric_versions(second).keys()
    for name in asked:
        if name not in METRICS:
            raise unknown("metric", name, METRICS, "`python -m benchmark metrics` lists them")
        if METRICS[name].spec.higher_is_better is None:
            raise BenchmarkError(f"The metric '{name}' describes and does not judge; choose another.")
        if name not in common:
            raise BenchmarkError(f"Not both runs were scored in '{name}'; choose another, or rescore them.")
    found = tuple(dict.fromkeys(asked)) or tuple(name for name in HEADLINE if name in common)
    if not found:
        raise BenchmarkError("The two runs have no headline metric in common; `rescore` computes them.")
    return found


def compare(
    first: Record, second: Record, metrics: Sequence[str], load: Callable[[str], Dataset]
) -> Comparison:
    """Compare two runs on the same test perturbations.

    The mean differences have bootstrap intervals over perturbations and signed-rank tests, corrected for the
    number of metrics (`benchmark.evaluation.statistics`); with fewer than `FEWEST` perturbations there are
    neither.

    Parameters
    ----------
    first, second
        Records of runs that `require_comparable` accepts.
    metrics
        Names of metrics that both have.
    load
        Loads their data by name, for effect sizes; where it cannot, a note says so.
    """
    scores = [scores_of(record) for record in (first, second)]
    differences = compare_arms({0: scores[0]}, {0: scores[1]}, metrics)
    table = pd.DataFrame({"perturbation": first.perturbations, "group": first.groups})
    sizes, notes = _sizes(first, load)
    table["effect_size"] = table["perturbation"].map(sizes).astype(float)
    table["refused_by"] = [_refused(label, first, second) for label in table["perturbation"]]
    for name in metrics:
        sign = METRICS[name].spec.sign
        one, other = (table["perturbation"].map(side[name]).astype(float) for side in scores)
        table = table.assign(
            **{
                f"first_{name}": one,
                f"second_{name}": other,
                f"{GAIN}{name}": sign * (one - other),
            }
        )
    return Comparison(
        first, second, [_of_enough(each) for each in differences], table, [*_about(first, second), *notes]
    )


def _sizes(record: Record, load: Callable[[str], Dataset]) -> tuple[dict[str, float], list[str]]:
    """Effect size of each perturbation, or none and the reason."""
    at = record.coordinates
    try:
        dataset = load(at.dataset)
    except BenchmarkError as error:
        return {}, [f"Effect sizes are not shown: {error}"]
    if dataset.digest != at.dataset_digest:
        return {}, ["Effect sizes are not shown: the data are no longer those that the runs were scored on."]
    cells = cells_by_label(dataset, [CONTROL, *record.perturbations])
    control = mean_of(cells[CONTROL])
    return effect_sizes({label: mean_of(cells[label]) - control for label in record.perturbations}), []


def _refused(label: str, first: Record, second: Record) -> str:
    """Who refused a perturbation, so that the train mean was scored in its place."""
    by = [name for name, record in (("first", first), ("second", second)) if label in record.fallbacks]
    return " and ".join(by)


def _of_enough(difference: Difference) -> Difference:
    if difference.n >= FEWEST:
        return difference
    return replace(difference, low=math.nan, high=math.nan, p=math.nan, corrected=math.nan)


def _about(first: Record, second: Record) -> list[str]:
    one, other = first.coordinates, second.coordinates
    notes = []
    if (one.cells, one.samples) != (other.cells, other.samples):
        notes.append(
            f"The first predicted {one.cells * one.samples} cells per perturbation and the second "
            f"{other.cells * other.samples}; how many counts in metrics of cells, such as energy_distance."
        )
    if first.fallbacks or second.fallbacks:
        notes.append(
            f"The train mean was scored for {len(first.fallbacks)} perturbations that the first refused and "
            f"{len(second.fallbacks)} that the second did."
        )
    return notes
