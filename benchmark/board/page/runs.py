"""What a row opens: its runs, seed by seed, and what it scored on each perturbation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isnan
from typing import Any

import numpy as np

from benchmark.board.intervals import ScoreTable, labels_of, mean_over_seeds
from benchmark.board.page.packed import packed_halves, short
from benchmark.board.rows import HEADLINE, Block, Row
from benchmark.records.record import device_label
from benchmark.records.tracking import StoredRun

Runs = Mapping[str, StoredRun]
"""Run -> what the store has of it."""

DIGESTS = ("dataset_digest", "split_digest", "config_digest", "source_digest")


def about_runs(row: Row, runs: Runs) -> list[dict[str, Any]]:
    """One entry for each run of a row; what older runs do not know is absent."""
    return [_about(runs[run_id]) for run_id in row.run_ids]


def _about(run: StoredRun) -> dict[str, Any]:
    tags = run.tags
    kept = ("method_version", *DIGESTS)
    about: dict[str, Any] = {name: tags[name] for name in kept if name in tags}
    if "device" in tags:
        about["device"] = device_label(tags["device"], int(tags["threads"]) if "threads" in tags else None)
    numbers: dict[str, Any] = {
        name: short(float(tags[name])) for name in ("seconds", "peak_memory_mb") if name in tags
    }
    scores = run.scores if run.status == "finished" else {}
    means = {name: _mean(list(scores[name].values())) for name in HEADLINE if name in scores}
    return {
        "id": run.run_id,
        "seed": int(tags["seed"]),
        "started": datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M"),
        **about,
        **numbers,
        "means": means,
        "config": run.config,
    }


def _mean(values: Sequence[float]) -> float | None:
    defined = [value for value in values if not isnan(value)]
    return short(sum(defined) / len(defined)) if defined else None


def per_perturbation(block: Block, runs: Runs, groups: Mapping[str, str]) -> dict[str, Any]:
    """What each row with scores has on each test perturbation, in the headline metrics.

    Parameters
    ----------
    block
        Its rows with scores count, in their order.
    runs
        Where their scores are.
    groups
        Perturbation -> what the page says of its group.

    Returns
    -------
    dict
        The perturbations, and the means over the seeds of a row as `packed_halves` of
        (rows, metrics, perturbations), NaN where undefined.
    """
    shown = [row for row in block.rows if row.is_shown]
    labels = labels_of(runs[run_id].scores for row in shown for run_id in row.run_ids)
    values = np.empty((len(shown), len(HEADLINE), len(labels)))
    for index, row in enumerate(shown):
        scores = dict(enumerate(runs[run_id].scores for run_id in row.run_ids))
        values[index] = mean_over_seeds(ScoreTable.of(scores, HEADLINE, labels).values).T
    return {
        "labels": labels,
        "groups": [groups.get(label, "") for label in labels],
        "values": packed_halves(values),
    }


def groups_of(block: Block, runs: Runs) -> dict[str, str]:
    """The group of each perturbation; those that it has in different seeds, with a slash between."""
    found: dict[str, set[str]] = {}
    for row in block.rows:
        for run_id in row.run_ids if row.is_shown else []:
            for label, group in runs[run_id].groups.items():
                found.setdefault(label, set()).add(group)
    return {label: " / ".join(sorted(groups)) for label, groups in found.items()}
