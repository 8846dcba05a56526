"""How much another seed changes what a method scores, from runs that are recorded."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from benchmark.board import BOUNDS
from benchmark.board.intervals import ScoreTable, labels_of
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.trainings import FEWEST_TRAININGS, training_variance
from benchmark.records.files import newest
from benchmark.records.tracking import StoredRun


def seed_noise(runs: Sequence[StoredRun], dataset: str, split: str) -> dict[str, float]:
    """Standard deviation over seeds of a method's mean score, the median over the methods of a board.

    It is what a training adds beside the perturbations that it is tested on, see
    `benchmark.evaluation.trainings`, so that it takes perturbations that several seeds tested.

    Parameters
    ----------
    runs
        Everything that is recorded, newest first.
    dataset, split
        The board.

    Returns
    -------
    dict
        Metric, in its present version -> standard deviation; those that are known of no method are missing.
    """
    rows: dict[tuple[str, ...], list[StoredRun]] = defaultdict(list)
    for run in newest(runs):
        here = (run.tags["dataset"], run.tags["split"]) == (dataset, split)
        if here and not run.is_part and run.tags["method"] not in BOUNDS:
            rows[run.row_key].append(run)
    found: dict[str, list[float]] = defaultdict(list)
    for members in rows.values():
        if len(members) >= FEWEST_TRAININGS:
            names = _in_force(members)
            scores = {int(run.tags["seed"]): run.scores for run in members}
            table = ScoreTable.of(scores, names, labels_of(scores.values()))
            for name, variance in zip(names, training_variance(table.values), strict=True):
                if not np.isnan(variance):
                    found[name].append(float(variance) ** 0.5)
    return {name: float(np.median(values)) for name, values in found.items()}


def _in_force(runs: Sequence[StoredRun]) -> list[str]:
    """Metrics that all of these were scored with in their present version."""
    versions = [json.loads(run.tags["metric_versions"]) for run in runs]
    return [
        name
        for name, declared in METRICS.items()
        if all(each.get(name) == declared.spec.version for each in versions)
    ]
