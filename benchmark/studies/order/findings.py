"""Everything that the report shows, read back from the recorded runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.evaluation.statistics import SeedScores
from benchmark.records.record import Record
from benchmark.records.tracking import Tracker
from benchmark.studies.order.arms import BASELINE, HYPOTHESIS, Arm, Comparison
from benchmark.studies.order.execute import Missing, recorded, runs_on_data
from benchmark.studies.order.plan import Plan, Prediction
from benchmark.studies.order.statistics import Difference, compare, scores_of
from benchmark.studies.order.verdict import Verdict, decide


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
        Simple method -> seed -> metric -> perturbation -> value, where there is a run.
    comparisons
        Differences of every comparison for which there is a shared seed.
    beside
        Simple method -> differences of `HYPOTHESIS` from it, where there is a shared seed.
    verdict
        What follows from them.
    missing
        Predictions that are not there.
    """

    plan: Plan
    records: dict[Arm, dict[int, Record]]
    references: dict[str, SeedScores]
    comparisons: dict[Comparison, list[Difference]]
    beside: dict[str, list[Difference]]
    verdict: Verdict
    missing: list[Missing]


def gather(plan: Plan, tracker: Tracker, failed: Sequence[Missing] = ()) -> Findings:
    """Read all predictions of the plan, compare them and judge."""
    found = recorded(plan, runs_on_data(plan, tracker))
    reasons = {each.prediction.key: each.reason for each in failed}
    missing = [
        Missing(prediction, reasons.get(prediction.key, "not made"))
        for prediction in plan.all_predictions
        if prediction.key not in found
    ]
    read = {key: tracker.record(run_id) for key, run_id in found.items()}
    records = _by_arm(plan.predictions, read)
    scores = {arm: _scores(by_seed) for arm, by_seed in records.items()}
    simple = _by_arm(plan.simple, read)
    references = {arm.source: _scores(by_seed) for arm, by_seed in simple.items() if by_seed}
    comparisons = {
        pair: compare(scores[pair.first], scores[pair.second])
        for pair in plan.comparisons
        if scores[pair.first].keys() & scores[pair.second].keys()
    }
    beside = {
        name: compare(scores[HYPOTHESIS], by_seed)
        for name, by_seed in references.items()
        if scores[HYPOTHESIS].keys() & by_seed.keys()
    }
    verdict = decide(comparisons, beside.get(BASELINE, ()), plan.experiment.seeds)
    return Findings(plan, records, references, comparisons, beside, verdict, missing)


def _by_arm(predictions: Sequence[Prediction], read: Mapping[str, Record]) -> dict[Arm, dict[int, Record]]:
    """Arm -> seed -> record, where there is one."""
    records: dict[Arm, dict[int, Record]] = {each.arm: {} for each in predictions}
    for prediction in predictions:
        if prediction.key in read:
            records[prediction.arm][prediction.task.coordinates.seed] = read[prediction.key]
    return records


def _scores(by_seed: Mapping[int, Record]) -> SeedScores:
    return {seed: scores_of(record) for seed, record in by_seed.items()}
