"""What training costs beside what it comes to: a point for each row and each budget that it was run at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from benchmark.board.intervals import ScoreTable, labels_of, plain, plain_means
from benchmark.board.page.packed import short
from benchmark.board.rows import HEADLINE, Block
from benchmark.records.tracking import StoredRun

PARTS = ("budget=", "train_share=")
"""Begin what the configuration of a run says of a part of its training."""

WHOLE = (1.0, 1.0)

Own: TypeAlias = tuple[str, ...]
Points: TypeAlias = Mapping[tuple[float, float], Mapping[int, StoredRun]]
"""Budget and share of the training perturbations -> seed -> run."""


def costs(block: Block, runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """Return for each row with scores its points, the whole training among them.

    Of a row with several points each is a mean over the seeds that all of them have, so that they can be
    compared.

    Parameters
    ----------
    block
        Its rows.
    runs
        All runs, newest first: also those that are points of curves, and no rows.
    """
    parts = _parts(block, [run for run in runs if run.is_part and run.status == "finished"])
    by_id = {run.run_id: run for run in runs}
    lines = []
    for index, row in enumerate(block.rows):
        if not row.is_shown or row.is_bound:
            continue
        own = {int(by_id[run_id].tags["seed"]): by_id[run_id] for run_id in row.run_ids}
        points = {**parts.get((row.method, row.configuration, str(row.cells)), {}), WHOLE: own}
        seeds = set.intersection(*(set(each) for each in points.values()))
        if len(points) == 1 or not seeds:
            means = [row.metrics[name].mean if name in row.metrics else None for name in HEADLINE]
            whole = {"budget": 1.0, "share": 1.0, "seconds": _seconds(list(own.values()))}
            lines.append({"row": index, "points": [{**whole, "means": [short(mean) for mean in means]}]})
            continue
        lines.append(
            {
                "row": index,
                "points": [
                    _point(budget, share, [each[seed] for seed in sorted(seeds)])
                    for (budget, share), each in sorted(points.items())
                ],
            }
        )
    return lines


def _parts(block: Block, runs: Sequence[StoredRun]) -> Mapping[Own, Points]:
    """Method, configuration and cells of a row -> its runs with a part of the training."""
    found: dict[Own, dict[tuple[float, float], dict[int, StoredRun]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        tags = run.tags
        if (tags["dataset"], tags["split"], tags["dataset_digest"]) == (
            block.dataset,
            block.split,
            block.dataset_digest,
        ):
            said = [part for part in tags["configuration"].split(", ") if not part.startswith(PARTS)]
            place = (float(tags.get("budget", 1)), float(tags.get("train_share", 1)))
            own = (tags["method"], ", ".join(said), tags["cells"])
            found[own][place].setdefault(int(tags["seed"]), run)
    return found


def _point(budget: float, share: float, runs: Sequence[StoredRun]) -> dict[str, Any]:
    """Means over some seeds of one budget and share."""
    table = ScoreTable.of(
        {int(run.tags["seed"]): run.scores for run in runs}, HEADLINE, labels_of(run.scores for run in runs)
    )
    return {
        "budget": budget,
        "share": share,
        "seconds": _seconds(runs),
        "means": [short(mean) for mean in plain(plain_means(table.values, table.contexts))],
    }


def _seconds(runs: Sequence[StoredRun]) -> float | None:
    """Mean processor seconds of training; None where a run does not know its own."""
    seconds = [float(run.tags["processor_seconds"]) for run in runs if "processor_seconds" in run.tags]
    return short(sum(seconds) / len(seconds)) if len(seconds) == len(runs) else None
