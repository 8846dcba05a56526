"""The leaderboard as text for programs: CSV or JSON with everything that is known of each row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from benchmark.board.rows import HEADLINE, Block, Row

ABOUT = (
    "dataset",
    "split",
    "rank",
    "method",
    "configuration",
    "status",
    "seeds",
    "cells",
    "samples",
    "coverage",
)
ENDS = (
    "fallbacks",
    "seconds",
    "tuning_trials",
    "tuning_seconds",
    "tuning_overlap",
    "mean_rank",
    "mean_rank_low",
    "mean_rank_high",
    "next_row",
    "reason",
)
ESTIMATE = ("mean", "low", "high", "n", "missing", "training")
SCALED = (*ESTIMATE, "flat", "flat_mean")
COMPARISON = ("mean", "low", "high", "p", "corrected", "n")


def as_json(blocks: Sequence[Block]) -> str:
    """One array with an object per row, failures among them."""
    return json.dumps([row.model_dump() for block in blocks for row in block.rows], indent=1) + "\n"


def as_csv(blocks: Sequence[Block]) -> str:
    """One line per row: every metric with its interval, scaled, by group and against the next row.

    The columns are called as `metric_mean`, `metric_scaled_mean`, `metric_combo_seen0_mean` and
    `metric_against_next_mean`.
    """
    rows = [row for block in blocks for row in block.rows]
    names = sorted({name for row in rows for name in row.metrics} - set(HEADLINE))
    groups = sorted({group for row in rows for group in row.groups})
    lines = [_line(row, [*HEADLINE, *names], groups) for row in rows]
    empty = Row.model_construct(metrics={}, scaled={}, groups={}, against_next={})
    header = list(lines[0] if lines else _line(empty, [*HEADLINE], []))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(line.values() for line in lines)
    return out.getvalue()


def _line(row: Row, names: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """Every cell of a row by the name of its column."""
    line = {name: getattr(row, name, None) for name in ABOUT}
    for name in names:
        line |= _parts(name, row.metrics.get(name), ESTIMATE)
    for name in names:
        line |= _parts(f"{name}_scaled", row.scaled.get(name), SCALED)
    for name in HEADLINE:
        for group in groups:
            line |= _parts(f"{name}_{group}", row.groups.get(group, {}).get(name), ESTIMATE)
        line |= _parts(f"{name}_against_next", row.against_next.get(name), COMPARISON)
    return line | {name: getattr(row, name, None) for name in ENDS}


def _parts(prefix: str, found: object, parts: Sequence[str]) -> dict[str, Any]:
    return {f"{prefix}_{part}": getattr(found, part, None) for part in parts}
