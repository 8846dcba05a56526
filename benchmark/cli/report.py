"""``benchmark report``: pictures of one run."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError


@options.reads_files
def report(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Beginning of a run id, a method run once, or latest: the last one asked for."
        ),
    ],
    perturbations: Annotated[
        str | None,
        typer.Option(
            metavar="A,B+C", help="Test perturbations to draw one by one; four are chosen unless said."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to; a folder in reports/ unless said.")
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Train the method again, to draw the two stages of a cascade.")
    ] = False,
    dataset: options.DataOfRuns = None,
    split: options.SplitOfRuns = None,
    seed: options.SeedOfRuns = None,
    json: options.AsJson = False,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Draw a finished run: one HTML page that needs no other file, and each picture as PNG and CSV."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.machine.progress import report_to
    from benchmark.report.page import left_out as name_left_out
    from benchmark.report.write import Request, write_report

    if output is not None and output.exists() and not output.is_dir():
        raise BenchmarkError(f"{output} is a file; name a folder for the report.")
    within, load = options.runs_on(dataset, split, seed, columns)
    request = Request(
        run=run,
        perturbations=options.names(perturbations),
        refit=refit,
        output=output,
        within=within,
    )
    with report_to(ProgressBars()):
        written = write_report(request, load)
    left_out = {each.file: each.left_out for each in written.drawn if each.left_out}
    drawn = [each.file for each in written.drawn if each.png]
    if json:
        about = {"run": written.run_id, "page": str(written.page), "pictures": drawn, "left_out": left_out}
        print(json_module.dumps(about, indent=1))
        return
    for text in name_left_out(written.drawn):
        print(f"Left out {text}")
    print(f"{written.page} has {len(drawn)} pictures of run {written.run_id[:8]}")
