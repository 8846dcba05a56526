"""``benchmark leaderboard``: what has been recorded, ranked."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from benchmark.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    from benchmark.board import Block
    from benchmark.records.tracking import StoredRun


def leaderboard(
    dataset: Annotated[str | None, typer.Option(help="Only this data set.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split scheme.")] = None,
    context: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what is tested in this context.")
    ] = None,
    format: Annotated[str, typer.Option(help="table, csv, json, markdown or html.")] = "table",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    table: Annotated[
        str | None,
        typer.Option(help="Which table of a block: scores (unless said), scaled, groups, transfer or tests."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD", help="In the table of tests: compare each row with this one, not the next."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of the screen.")] = None,
    records: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Records that `publish` wrote, instead of the run store."),
    ] = None,
) -> None:
    """Show all recorded runs: one block per data set and split scheme, ranked by mean rank.

    Markdown has all tables, csv and json have every metric. html is a page to look at and to click through.
    """
    from threadpoolctl import threadpool_limits

    # A thousand runs are a million objects, none of them garbage; looking for some doubles the time.
    gc.disable()
    try:
        # Products of small matrices: on a busy machine threads wait for each other far longer than they work.
        with threadpool_limits(1):
            _show(dataset, split, context, "json" if json else format, table, against, output, records)
    finally:
        gc.enable()


def _show(
    dataset: str | None,
    split: str | None,
    context: str | None,
    format: str,
    table: str | None,
    against: str | None,
    output: Path | None,
    records: Path | None,
) -> None:
    from benchmark.board import SHOWN, build_board
    from benchmark.board.export import as_csv, as_json
    from benchmark.board.tables import TABLES
    from benchmark.board.text import as_markdown, as_table
    from benchmark.machine.paths import replacing
    from benchmark.records.files import as_stored, read_records
    from benchmark.records.tracking import Tracker

    formats: dict[str, Callable[[Sequence[Block]], str]] = {
        "table": partial(as_table, table=table or "scores"),
        "markdown": as_markdown,
        "csv": as_csv,
        "json": as_json,
        "html": lambda blocks: _page(blocks, runs, dataset, split, context, output),
    }
    if format not in formats:
        raise unknown("format", format, formats)
    if table is not None and table not in TABLES:
        raise unknown("table", table, TABLES)
    if table is not None and format != "table":
        raise BenchmarkError(f"--table is for --format table, and {format} has everything; leave it out.")
    if against is not None and table != "tests":
        raise BenchmarkError("--against says what --table tests compares with; give both, or neither.")
    if output is not None and not output.parent.is_dir():
        raise BenchmarkError(f"There is no folder {output.parent} to write {output.name} to; make it first.")
    runs = Tracker().runs() if records is None else [as_stored(record) for record in read_records(records)]
    headline_only = format in ("table", "markdown")
    blocks = build_board(runs, dataset, split, SHOWN if headline_only else None, context, against)
    if not blocks and format not in ("csv", "json"):
        known = ", ".join(sorted({f"{run.tags['dataset']} ({run.tags['split']})" for run in runs}))
        raise BenchmarkError(
            f"No such run is recorded; there are runs of: {known}."
            if known
            else "No run is recorded yet; `python -m benchmark run --method additive` makes the first."
        )
    text = formats[format](blocks)
    if output is None:
        print(text, end="")
        return
    with replacing(output) as draft:
        draft.write_text(text, encoding="utf-8")


def _page(
    blocks: Sequence[Block],
    runs: Sequence[StoredRun],
    dataset: str | None,
    split: str | None,
    context: str | None,
    output: Path | None,
) -> str:
    """The board as a page, with what was published for the same data sets and splits, or all of them."""
    from benchmark.board.contexts import tested_in
    from benchmark.board.page import as_content, as_html
    from benchmark.studies.protocols import published_boards
    from benchmark.studies.trust import read_trust

    if context is not None:
        runs = tested_in(runs, context)
    places = [(block.dataset, block.split, block.dataset_digest) for block in blocks]
    trust = {place: found for place in places if (found := read_trust(*place)) is not None}
    reports = _reports(runs, (output or Path("index.html")).resolve().parent)
    return as_html(as_content(blocks, runs, published_boards(dataset, split), trust, reports))


def _reports(runs: Sequence[StoredRun], folder: Path) -> dict[str, str]:
    """Run -> address of its report, as seen from a page in a folder, where there is one in its place."""
    from benchmark.machine.paths import project_home

    written = {path.parent.name[-8:]: path for path in (project_home() / "reports").glob("*/index.html")}
    return {
        run.run_id: quote(os.path.relpath(written[run.run_id[:8]].resolve(), folder))
        for run in runs
        if run.run_id[:8] in written
    }
