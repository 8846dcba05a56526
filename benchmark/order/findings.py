"""Everything that the report shows, read back from the recorded runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.board import Scores
from benchmark.order.execute import Missing, recorded, runs_on_data
from benchmark.order.plan import Arm, Comparison, Plan
from benchmark.order.statistics import Difference, SeedScores, compare
from benchmark.order.verdict import Verdict, decide
from benchmark.record import Record
from benchmark.tracking import StoredRun, Tracker

REFERENCES = ("main_effects", "additive", "train_mean", "no_change")
"""Simple methods whose means stand beside those of the arms."""


@dataclass(frozen=True)
class Findings:
    """What came out.

    Attributes
    ----------
    plan
        What was asked for.
    records
        Arm -> seed -> record.
    references
        Simple method -> seed -> metric -> perturbation -> value, of its runs with the default configuration
        on the same splits and with as many cells.
    comparisons
        Differences of every comparison for which there is a shared seed.
    verdict
        What follows from them.
    missing
        Predictions that are not there.
    """

    plan: Plan
    records: dict[Arm, dict[int, Record]]
    references: dict[str, SeedScores]
    comparisons: dict[Comparison, list[Difference]]
    verdict: Verdict
    missing: list[Missing]


def gather(plan: Plan, tracker: Tracker, failed: Sequence[Missing] = ()) -> Findings:
    """Read all predictions of the plan, compare them and judge."""
    runs = runs_on_data(plan, tracker)
    found = recorded(plan, runs)
    records: dict[Arm, dict[int, Record]] = {arm: {} for arm in plan.arms}
    missing = []
    reasons = {each.prediction.key: each.reason for each in failed}
    for prediction in plan.predictions:
        seed = prediction.task.coordinates.seed
        if prediction.key in found:
            records[prediction.arm][seed] = tracker.record(found[prediction.key])
        else:
            missing.append(Missing(prediction, reasons.get(prediction.key, "not made")))
    scores = {arm: {seed: scores_of(record) for seed, record in of.items()} for arm, of in records.items()}
    comparisons = {
        pair: compare(scores[pair.first], scores[pair.second])
        for pair in plan.comparisons
        if scores[pair.first].keys() & scores[pair.second].keys()
    }
    verdict = decide(comparisons, plan.experiment.seeds)
    return Findings(plan, records, _references(plan, runs), comparisons, verdict, missing)


def scores_of(record: Record) -> Scores:
    """Metric -> test perturbation -> value, NaN where undefined."""
    return {
        name: {
            label: np.nan if value is None else value
            for label, value in zip(record.perturbations, values, strict=True)
        }
        for name, values in record.scores.items()
    }


def _references(plan: Plan, runs: Sequence[StoredRun]) -> dict[str, SeedScores]:
    """Take the newest default run of each simple method on each split file of the plan."""
    splits = {each.task.coordinates.split_digest for each in plan.predictions}
    cells = str(plan.experiment.cells)
    found: dict[str, dict[int, Scores]] = defaultdict(dict)
    for run in runs:
        tags = run.tags
        comparable = tags["split_digest"] in splits and tags["cells"] == cells
        comparable &= tags.get("samples", "1") == "1"
        if comparable and tags["method"] in REFERENCES and tags["configuration"] == "default":
            found[tags["method"]].setdefault(int(tags["seed"]), run.scores)
    return {name: found[name] for name in REFERENCES if name in found}
