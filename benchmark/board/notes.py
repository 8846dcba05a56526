"""What has to be said below a block: seeds that are missing, anchors, failures, other versions."""

from __future__ import annotations

from benchmark.board.rows import ANCHORS, BASELINE, BOUNDS, CEILING, LIMIT, Block, Row
from benchmark.evaluation.trainings import FEWEST_TRAININGS

LARGE = 0.1
"""Part of the variance from which trainings are mentioned."""


def notes(block: Block) -> list[str]:
    """Everything that a reader of the block should know, one sentence each."""
    return [
        *_seeds(block),
        *_bounds(block),
        *_controls(block),
        *_narrowed(block),
        *(_sampling(row, block) for row in block.rows if row.sampling_noise),
        *_anchors(block),
        *_outdated(block),
        *_trainings(block),
        *block.unfinished,
        *_budgets(block),
        *(_overlap(row, block) for row in block.tuned if row.tuning_overlap),
        *(_unranked(row, block) for row in block.rows if not row.is_shown or row.reason),
        *_attempts(block),
    ]


def _seeds(block: Block) -> list[str]:
    if all(row.seed_list == block.seeds for row in block.rows if row.is_shown):
        return []
    compared = ", ".join(map(str, block.rank_seeds))
    return [
        f"ranks compare seed {compared}, which all ranked rows have; a mean is over all seeds of its row, "
        f"and rows with * lack some of {', '.join(map(str, block.seeds))}"
    ]


def _bounds(block: Block) -> list[str]:
    meanings = {
        LIMIT: "what a model that knew the true mean of each perturbation would score, in the "
        "metrics that read means alone; nobody can be expected to score better",
        CEILING: "what one half of the real cells of a perturbation scores as a prediction of the "
        "other; it has the noise of two halves, so that methods may well lie above",
    }
    there = {row.method for row in block.rows if row.is_bound}
    return [f"{name} is no method: it is {meanings[name]}" for name in BOUNDS if name in there]


def _narrowed(block: Block) -> list[str]:
    """What is not of the one context that a block was narrowed to."""
    if not block.context or not any(row.fallbacks for row in block.rows):
        return []
    return ["coverage and refusals are of all contexts that a run was tested in"]


def _controls(block: Block) -> list[str]:
    return [block.controls] if block.controls else []


def _sampling(row: Row, block: Block) -> str:
    return f"{block.name(row)} draws its cells, which adds {row.sampling_noise:.2g} to its mse"


def _anchors(block: Block) -> list[str]:
    """Which anchors are not there in which seeds, and how to record them."""
    if block.other_split or not block.seeds:
        return []
    there: dict[str, set[int]] = {name: set() for name in (*BOUNDS, *ANCHORS)}
    for row in block.rows:
        if row.method in there and row.status == "finished":
            there[row.method] |= set(row.seed_list)
    missing = {name: sorted(set(block.seeds) - seeds) for name, seeds in there.items()}
    lacking = [f"{name} (seeds {', '.join(map(str, seeds))})" for name, seeds in missing.items() if seeds]
    if not lacking:
        return []
    seed = min(seed for seeds in missing.values() for seed in seeds)
    return [
        f"not recorded: {', '.join(lacking)}; without {BASELINE}, {LIMIT} and {CEILING} of a seed not all is "
        f"scaled there; `python -m benchmark run --method {BASELINE} --dataset {block.dataset} --split "
        f"{block.split} --seed {seed}` records all of seed {seed} (of a file, give the path)"
    ]


def _outdated(block: Block) -> list[str]:
    by_metric: dict[str, list[str]] = {}
    for row in block.rows:
        for name in row.outdated:
            by_metric.setdefault(name, []).append(block.name(row))
    return [
        f"scored with an older version of metric {name}: {', '.join(labels)}; `python -m benchmark rescore` "
        "computes it again"
        for name, labels in by_metric.items()
    ]


def _trainings(block: Block) -> list[str]:
    """How much of what is uncertain about a row is that of its trainings."""
    shares = {block.name(row): row.training_share for row in block.rows if row.rank is not None}
    large = [f"{name} {share:.0%}" for name, share in shares.items() if share >= LARGE]
    if len(block.seeds) >= FEWEST_TRAININGS and not any(_tells_trainings(row) for row in block.rows):
        return [
            "seeds have too few test perturbations in common to tell trainings apart: intervals and tests "
            "are over perturbations alone, and hold nothing of what another training would give"
        ]
    if not large:
        return []
    return [
        "intervals and tests of three seeds or more are over trainings and perturbations; the part of the "
        f"variance that is of trainings, in the headline metric where it is largest: {', '.join(large)}"
    ]


def _tells_trainings(row: Row) -> bool:
    """Whether the intervals of a row hold what its trainings differ in."""
    return row.rank is not None and any(found.training is not None for found in row.metrics.values())


def _budgets(block: Block) -> list[str]:
    """Which rows had less of a chance than others; the anchors have nothing to tune."""
    if not block.tuned:
        return []
    said = []
    if any(row.tuning_trials != block.usual_trials for row in block.tuned):
        said.append(
            f"rows with * beside their trials had another budget than the usual {block.usual_trials} trials "
            "of this block"
        )
    untuned = [
        block.name(row)
        for row in block.rows
        if row.rank is not None and not row.is_tuned and row.method not in ANCHORS
    ]
    if untuned:
        said.append(f"not tuned, beside rows that are: {', '.join(untuned)}")
    return said


def _overlap(row: Row, block: Block) -> str:
    return (
        f"{block.name(row)}: {row.tuning_overlap} test perturbations had a say in its configuration: "
        "they are no test of it"
    )


def _unranked(row: Row, block: Block) -> str:
    reason = f": {row.reason}" if row.reason else ""
    run = row.run_ids[0][:8]
    return f"unranked: {block.name(row)}, seed {row.seed_list[0]}, {row.status}{reason} (run {run})"


def _attempts(block: Block) -> list[str]:
    if all(row.is_shown or row.status == "running" for row in block.rows):
        return []
    return [
        "attempts that came to nothing leave the board when the method finishes on that seed, or by "
        "`python -m benchmark runs remove RUN`"
    ]
