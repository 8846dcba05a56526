"""From recorded runs to blocks of rows."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.board.budgets import still_gaining
from benchmark.board.comparisons import compare_neighbours, compare_with, compare_with_best
from benchmark.board.contexts import add_transfer, controls_of, tested_in
from benchmark.board.groups import FrozenSplits, add_groups
from benchmark.board.intervals import ScoreTable, estimates, labels_of
from benchmark.board.ranks import Member, ranked
from benchmark.board.rows import BOUNDS, HEADLINE, Block, Row
from benchmark.board.scale import add_scales
from benchmark.contexts import context_in
from benchmark.errors import unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.records.tracking import StoredRun


def build_board(
    runs: Sequence[StoredRun],
    dataset: str | None = None,
    split: str | None = None,
    metrics: Sequence[str] | None = None,
    context: str | None = None,
    against: str | None = None,
) -> list[Block]:
    """Arrange runs into ranked blocks.

    Parameters
    ----------
    runs
        Everything that is recorded, newest first. Runs with another budget, or with a part of the training
        perturbations, are points of curves and no rows.
    dataset, split
        Keep only this data set or split scheme.
    metrics
        Which ones are looked at beside the headline metrics; all unless said.
    context
        Keep only the conditions of this context, and the runs that were tested in it.
    against
        Compare each row with the one of this name in place of the next lower one.

    Raises
    ------
    BenchmarkError
        When no run was tested in that context, or no row, or several of a block, have that name.
    """
    groups: dict[tuple[str, ...], list[StoredRun]] = defaultdict(list)
    parts: dict[tuple[str, ...], list[StoredRun]] = defaultdict(list)
    newest_split: dict[tuple[str, ...], str] = {}
    readable = [run for run in runs if run.is_readable]
    if len(readable) < len(runs):
        logging.getLogger("benchmark").warning(
            "%d runs were recorded by an older version and are left out; run them again.",
            len(runs) - len(readable),
        )
    for run in readable if context is None else tested_in(readable, context):
        tags = run.tags
        if dataset not in (None, tags["dataset"]) or split not in (None, tags["split"]):
            continue
        data = (tags["dataset"], tags["split"], tags["dataset_digest"])
        usual = newest_split.setdefault((*data, tags["seed"]), tags["split_digest"])
        other_split = "" if tags["split_digest"] == usual else tags["split_digest"]
        (parts if run.is_part else groups)[(*data, other_split)].append(run)
    frozen = FrozenSplits()
    blocks = [
        Block(
            dataset=name,
            split=scheme,
            dataset_digest=digest,
            other_split=other,
            context=context or "",
            against=against or "",
            controls=controls_of(members, context),
            unfinished=still_gaining(members, parts[name, scheme, digest, other]),
            rows=_rows(members, metrics, frozen, against),
        )
        for (name, scheme, digest, other), members in sorted(groups.items())
    ]
    rows = [row for block in blocks for row in block.rows]
    if against is not None and rows and not any(against in (row.label, row.method) for row in rows):
        raise unknown("row", against, sorted({row.label for row in rows}))
    return blocks


def _rows(
    runs: Sequence[StoredRun], metrics: Sequence[str] | None, frozen: FrozenSplits, against: str | None
) -> list[Row]:
    """One row per configuration that has finished runs, and one per run that came to nothing.

    An attempt is forgotten when its method has finished on the same seed since.
    """
    finished: dict[tuple[str, ...], dict[int, StoredRun]] = defaultdict(dict)
    for run in runs:  # newest first: of runs that differ in nothing but code, the newest counts
        if run.status == "finished":
            finished[run.row_key].setdefault(int(run.tags["seed"]), run)
    done = {
        (run.tags["method"], run.tags["seed"]): run.started
        for run in reversed(runs)
        if run.status == "finished"
    }
    rest = {
        (*run.row_key, run.tags["seed"]): run
        for run in reversed(runs)
        if run.status == "running"
        or (run.status != "finished" and run.started > done.get((run.tags["method"], run.tags["seed"]), -1))
    }
    shown = _finished_rows(
        [list(by_seed.values()) for by_seed in finished.values() if by_seed], metrics, frozen, against
    )
    unranked = [_unfinished_row(run) for run in rest.values()]
    return shown + sorted(unranked, key=lambda row: (row.method, row.configuration, row.seed_list))


def _finished_rows(
    rows: Sequence[Sequence[StoredRun]],
    metrics: Sequence[str] | None,
    frozen: FrozenSplits,
    against: str | None,
) -> list[Row]:
    """The bounds first, then the ranked rows, then those that lack a seed."""
    runs = [run for members in rows for run in members]
    names, labels = _names(runs, metrics), labels_of(run.scores for run in runs)
    members = [_member(each, names, labels) for each in rows]
    bounds = sorted(
        (member for member in members if member.row.is_bound), key=lambda each: BOUNDS.index(each.row.method)
    )
    in_order, others = ranked([member for member in members if not member.row.is_bound])
    if against is None:
        compare_neighbours(in_order)
    else:
        compare_with(against, in_order + others)
    compare_with_best(in_order)
    add_scales(members)
    add_groups(members, frozen.groups(runs))
    if any(map(context_in, labels)):
        add_transfer(members, frozen.trained(runs))
    return [member.row for member in bounds + in_order + others]


def _names(runs: Sequence[StoredRun], metrics: Sequence[str] | None) -> list[str]:
    """Headline metrics first, then what else is asked for and recorded."""
    recorded = dict.fromkeys(name for run in runs for name in run.scores)
    wanted = recorded if metrics is None else [name for name in metrics if name in recorded]
    return list(dict.fromkeys([*HEADLINE, *wanted]))


def _member(runs: Sequence[StoredRun], names: Sequence[str], labels: Sequence[str]) -> Member:
    runs = sorted(runs, key=lambda run: int(run.tags["seed"]))
    versions = tuple(json.loads(run.tags["metric_versions"]) for run in runs)
    table = ScoreTable.of({int(run.tags["seed"]): run.scores for run in runs}, names, labels)
    outdated = {
        name
        for of_seed in versions
        for name, version in of_seed.items()
        if name in METRICS and METRICS[name].spec.version != version
    }
    row = Row(
        **_identity(next((run for run in runs if run.tags["configuration"] == "default"), runs[0])),
        status="finished",
        seeds=len(runs),
        seed_list=list(table.seeds),
        coverage=float(np.mean([float(run.tags["coverage"]) for run in runs])),
        fallbacks=sum(int(run.tags["fallbacks"]) for run in runs),
        sampling_noise=_mean_noise(runs),
        knows_truth=any("knows_truth" in run.tags for run in runs),
        seconds=float(np.mean([float(run.tags["seconds"]) for run in runs])),
        metrics=estimates(table),
        metric_versions=versions[0],
        **_ledger(runs),
        outdated=sorted(outdated),
        run_ids=[run.run_id for run in runs],
    )
    return Member(row, table, versions)


def _mean_noise(runs: Sequence[StoredRun]) -> float | None:
    noises = [float(run.tags["sampling_noise"]) for run in runs if "sampling_noise" in run.tags]
    return float(np.mean(noises)) if noises else None


def _ledger(runs: Sequence[StoredRun]) -> dict[str, Any]:
    """What a row's configuration cost; its seeds rest on one study, so that nothing is added up."""
    return {
        "tuning_trials": max(int(run.tags.get("tuning_trials", 0)) for run in runs),
        "tuning_seconds": max(float(run.tags.get("tuning_seconds", 0)) for run in runs),
        "tuning_overlap": max(int(run.tags.get("tuning_overlap", 0)) for run in runs),
    }


def _unfinished_row(run: StoredRun) -> Row:
    return Row(
        **_identity(run),
        status=run.status,
        seeds=1,
        seed_list=[int(run.tags["seed"])],
        reason=run.tags.get("reason", ""),
        run_ids=[run.run_id],
    )


def _identity(run: StoredRun) -> dict[str, Any]:
    names = ("dataset", "dataset_digest", "split", "method", "method_version", "configuration", "cells")
    return {name: run.tags[name] for name in (*names, "config_digest")} | {"samples": run.samples}
