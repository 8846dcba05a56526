"""Everything that the report shows, read back from the recorded runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmark.evaluation.statistics import SeedScores
from benchmark.records.record import Record
from benchmark.records.tracking import Tracker
from benchmark.studies.order import preconditions as must
from benchmark.studies.order.arms import BAR, LATENT_FIRST, Arm, Comparison
from benchmark.studies.order.execute import Missing, recorded, runs_on_data
from benchmark.studies.order.experiment import Plan, Prediction
from benchmark.studies.order.preconditions import LatentFit, Precondition
from benchmark.studies.order.statistics import Difference, compare, scores_of
from benchmark.studies.order.verdict import Verdict, decide

CURVES = ("learn centre/latent_r2", "learn centre/ridge_latent_r2", "complete centre/generated_latent_r2")
"""Values that a training reports of its latents, in the order of `LatentFit`."""


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
        Source -> simple method -> differences of `latent_first` from it, where there is a shared seed.
    verdicts
        Tested source -> what follows from them.
    missing
        Predictions that are not there.
    """

    plan: Plan
    records: dict[Arm, dict[int, Record]]
    references: dict[str, SeedScores]
    comparisons: dict[Comparison, list[Difference]]
    beside: dict[str, dict[str, list[Difference]]]
    verdicts: dict[str, Verdict]
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
        source: {
            name: compare(scores[Arm(source, LATENT_FIRST)], by_seed)
            for name, by_seed in references.items()
            if scores[Arm(source, LATENT_FIRST)].keys() & by_seed.keys()
        }
        for source in plan.with_network
    }
    seeds = plan.experiment.seeds
    verdicts = {}
    for source in plan.tested:
        fits = {seed: _fit(tracker, record) for seed, record in records[Arm(source, LATENT_FIRST)].items()}
        preconditions = _preconditions(plan, beside[source].get(BAR, ()), fits, comparisons)
        verdicts[source] = decide(source, plan.controls, comparisons, [*preconditions], seeds)
    return Findings(plan, records, references, comparisons, beside, verdicts, missing)


def _preconditions(
    plan: Plan,
    against_bar: Sequence[Difference],
    fits: Mapping[int, LatentFit],
    comparisons: Mapping[Comparison, Sequence[Difference]],
) -> Iterator[Precondition]:
    seeds = plan.experiment.seeds
    yield must.not_behind(against_bar, seeds)
    yield must.latent_known(fits, seeds)
    yield must.latent_generated(fits, seeds)
    if not plan.has_truth:
        yield must.without_truth()
        return
    yield must.latent_matters(comparisons, seeds)
    yield must.finds_effect(comparisons, seeds)


def _fit(tracker: Tracker, record: Record) -> LatentFit:
    """What the training that a run rests on reported of its latents."""
    values = tracker.client.get_run(record.run_id).data.metrics
    return LatentFit(*(values.get(name) for name in CURVES))


def _by_arm(predictions: Sequence[Prediction], read: Mapping[str, Record]) -> dict[Arm, dict[int, Record]]:
    """Arm -> seed -> record, where there is one."""
    records: dict[Arm, dict[int, Record]] = {each.arm: {} for each in predictions}
    for prediction in predictions:
        if prediction.key in read:
            records[prediction.arm][prediction.task.coordinates.seed] = read[prediction.key]
    return records


def _scores(by_seed: Mapping[int, Record]) -> SeedScores:
    return {seed: scores_of(record) for seed, record in by_seed.items()}
