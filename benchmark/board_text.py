"""The leaderboard as text: a table for the screen, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.board import HEADLINE, Block, Estimate, Row
from benchmark.metrics import METRICS

WIDTH = 140
"""Of a table that goes to a file: nothing in it is wrapped."""

COLUMNS = ("rank", "method", *HEADLINE, "mean rank", "seeds", "coverage", "seconds")


def as_json(blocks: Sequence[Block]) -> str:
    """One array with an object per row, failures among them."""
    return json.dumps([row.model_dump() for block in blocks for row in block.rows], indent=1) + "\n"


def as_csv(blocks: Sequence[Block]) -> str:
    """One line per row: all metrics with the bounds of their intervals."""
    names = sorted({name for block in blocks for row in block.rows for name in row.metrics})
    names = [*HEADLINE, *(name for name in names if name not in HEADLINE)]
    plain = (
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
    ends = ("fallbacks", "seconds", "mean_rank", "reason")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = ("mean", "low", "high", "n", "missing")
    writer.writerow([*plain, *(f"{name}_{part}" for name in names for part in parts), *ends])
    for block in blocks:
        for row in block.rows:
            cells = [getattr(row.metrics.get(name), part, None) for name in names for part in parts]
            writer.writerow(
                [*(getattr(row, key) for key in plain), *cells, *(getattr(row, key) for key in ends)]
            )
    return out.getvalue()


def as_markdown(blocks: Sequence[Block]) -> str:
    """One section per block, with a table of ranked rows and a list of what failed."""
    sections = ["# Leaderboard", _legend()]
    for block in blocks:
        lines = [f"## {_title(block)}", "", "| " + " | ".join(_headings()) + " |"]
        lines.append("|" + "|".join(" --- " if name == "method" else " ---: " for name in COLUMNS) + "|")
        lines += ["| " + " | ".join(_cells(row, block)) + " |" for row in block.rows if row.rank is not None]
        sections.append("\n".join(lines))
        notes = _notes(block)
        if notes:
            sections.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(sections) + "\n"


def as_table(blocks: Sequence[Block], width: int | None = None) -> str:
    """Tables for a terminal, each interval below its mean."""
    screen = io.StringIO()
    terminal = Console()
    console = Console(file=screen, width=width or (terminal.width if terminal.is_terminal else WIDTH))
    for block in blocks:
        console.print(_title(block), style="bold", markup=False)
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for name, heading in zip(COLUMNS, _headings(), strict=True):
            table.add_column(
                heading, justify="left" if name == "method" else "right", no_wrap=name == "method"
            )
        for row in block.rows:
            if row.rank is not None:
                table.add_row(*(cell.replace(" [", "\n[") for cell in _cells(row, block)))
        if table.rows:
            console.print(table)
        for note in _notes(block):
            console.print(f"  {note}", markup=False)
        console.print()
    console.print(_legend(), markup=False)
    return screen.getvalue()


FORMATS: dict[str, Callable[[Sequence[Block]], str]] = {
    "table": as_table,
    "markdown": as_markdown,
    "csv": as_csv,
    "json": as_json,
}


def _title(block: Block) -> str:
    seeds = ", ".join(map(str, block.seeds)) or "none finished"
    other = f"; an older split {block.other_split[:10]}" if block.other_split else ""
    return f"{block.dataset}, split {block.split} (seeds {seeds}; data {block.dataset_digest[:10]}{other})"


def _headings() -> list[str]:
    arrows = {True: " ↑", False: " ↓", None: ""}
    return [
        name + arrows[METRICS[name].spec.higher_is_better] if name in METRICS else name for name in COLUMNS
    ]


def _cells(row: Row, block: Block) -> list[str]:
    seeds = str(row.seeds) + ("" if row.seed_list == block.seeds else "*")
    coverage = f"{row.coverage:.0%}" + (f" ({row.fallbacks} fallbacks)" if row.fallbacks else "")
    scores = [_interval(row.metrics.get(name)) for name in HEADLINE]
    return [str(row.rank), row.label, *scores, f"{row.mean_rank:.2f}", seeds, coverage, f"{row.seconds:.1f}"]


def _interval(found: Estimate | None) -> str:
    if found is None or found.mean is None:
        return "undefined"
    digits = 4 if 0 < abs(found.mean) < 0.1 else 3
    dropped = f" †{found.missing}" if found.missing else ""
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]{dropped}"


def _notes(block: Block) -> list[str]:
    notes = []
    if any(row.rank is not None and row.seed_list != block.seeds for row in block.rows):
        notes.append("rows with * lack seeds of this block: ranks compare the seeds that all rows have")
    for row in block.rows:
        if row.rank is None:
            reason = f": {row.reason}" if row.reason else ""
            notes.append(f"unranked: {row.label}, seed {row.seed_list[0]}, {row.status}{reason}")
    return notes


def _legend() -> str:
    return (
        "Means over test perturbations and seeds with 95 % bootstrap intervals over perturbations; rows are "
        "sorted by their mean rank over the four; †n: undefined for n perturbations, which are left out."
    )
