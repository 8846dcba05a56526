"""``benchmark sweep``: methods x data sets x splits x seeds, and the board that comes of them."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.sweep.job import Job, Outcome

FAILED = 1


@options.reads_files
def sweep(
    methods: Annotated[
        str | None, typer.Option(metavar="A,B", help="Names, or all: every one that is ready.")
    ] = None,
    datasets: Annotated[str | None, typer.Option(metavar="A,B", help="Else simulated.")] = None,
    splits: Annotated[
        str | None, typer.Option(metavar="A,B", help="Split schemes, or auto; else doubles.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="0-4", help="Or 0,2,5; else 0.")] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="A sweep; what is given besides goes before.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="For the methods that have it; others use their default.")
    ] = None,
    set_: options.Settings = None,
    cells: Annotated[int | None, typer.Option(help="Control cells per perturbation; else 256.")] = None,
    samples: Annotated[int | None, typer.Option(help="Predicted cells per control cell; else 1.")] = None,
    device: Annotated[str | None, typer.Option(help="As in run; else auto.")] = None,
    executor: Annotated[str, typer.Option(help="local: processes here. ray: a cluster.")] = "local",
    jobs: Annotated[int | None, typer.Option(help="Runs at once; else 1, or what the cluster has.")] = None,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; else one is started on this machine.")
    ] = None,
    anchors: options.Anchors = True,
    json: options.AsJson = False,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Do all runs of a sweep that are not done yet, and show the board; the same command again goes on."""
    from benchmark.sweep.plan import Plan
    from benchmark.sweep.sweep import Where
    from benchmark.sweep.sweep import sweep as sweep_plan

    if methods is None and file is None:
        raise BenchmarkError("A sweep needs methods; give --methods A,B (or all), or a --file that has them.")
    lists = {"methods": methods, "datasets": datasets, "splits": splits}
    given = {name: tuple(text.split(",")) for name, text in lists.items() if text is not None}
    more = options.given(
        seeds=seeds,
        preset=preset,
        settings=options.read_settings(set_) or None,
        cells=cells,
        samples=samples,
        device=device,
        columns=columns or None,
        anchors=None if anchors else False,
    )
    plan = Plan.build(file, {**given, **more})
    with redirect_stdout(sys.stderr):
        done = sweep_plan(plan, Where(executor, jobs, address))
    if json:
        rows = [{**asdict(job), **asdict(outcome)} for job, outcome in done]
        print(json_module.dumps(rows, indent=1, default=str))
        if any(outcome.state == "failed" for _, outcome in done):
            raise typer.Exit(FAILED)
        return
    _show_boards(done)
    _summarise(done)


def _show_boards(done: list[tuple[Job, Outcome]]) -> None:
    """Print the blocks of the board that the sweep has runs in."""
    from benchmark.board import SHOWN, build_board
    from benchmark.board.text import as_table
    from benchmark.records.tracking import Tracker

    ids = {outcome.run_id for _, outcome in done}
    blocks = build_board(Tracker().runs(), metrics=SHOWN)
    print(as_table([block for block in blocks if any(ids & set(row.run_ids) for row in block.rows)]), end="")


def _summarise(done: list[tuple[Job, Outcome]]) -> None:
    """Say what came of the runs; some that failed make the exit code `FAILED`."""
    failures = [(job, outcome) for job, outcome in done if outcome.state == "failed"]
    counts = {state: sum(outcome.state == state for _, outcome in done) for state in ("done", "before")}
    print(f"{counts['done']} runs done, {counts['before']} were done before, {len(failures)} failed")
    for job, outcome in failures:
        print(f"  {job}: {outcome.reason}")
    if failures:
        raise typer.Exit(FAILED)
