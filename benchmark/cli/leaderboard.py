"""``benchmark leaderboard``: what has been recorded, ranked."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from benchmark.errors import BenchmarkError, unknown


def leaderboard(
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split scheme.")] = None,
    format: Annotated[str, typer.Option(help="table, csv, json or markdown.")] = "table",
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of the screen.")] = None,
) -> None:
    """Show all recorded runs: one block per data set and split scheme, ranked by mean rank."""
    # A thousand runs are a million objects, none of them garbage; looking for some doubles the time.
    gc.disable()
    try:
        _show(dataset, split, format, output)
    finally:
        gc.enable()


def _show(dataset: str | None, split: str | None, format: str, output: Path | None) -> None:
    from benchmark.board import build_board
    from benchmark.board_text import FORMATS
    from benchmark.paths import replacing
    from benchmark.tracking import Tracker

    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if output is not None and not output.parent.is_dir():
        raise BenchmarkError(f"There is no folder {output.parent} to write {output.name} to; make it first.")
    runs = Tracker().runs()
    blocks = build_board(runs, dataset, split)
    if not blocks and format in ("table", "markdown"):
        known = ", ".join(sorted({f"{run.tags['dataset']} ({run.tags['split']})" for run in runs}))
        raise BenchmarkError(
            f"No such run is recorded; there are runs of: {known}."
            if known
            else "No run is recorded yet; `python -m benchmark run --method additive` makes the first."
        )
    text = FORMATS[format](blocks)
    if output is None:
        print(text, end="")
        return
    with replacing(output) as draft:
        draft.write_text(text, encoding="utf-8")
