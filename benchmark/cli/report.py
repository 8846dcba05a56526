"""``benchmark report``: pictures of one run."""

from __future__ import annotations

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
        typer.Argument(metavar="RUN", help="Beginning of a run id or key, a method run once, or 'latest'."),
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
    *,
    columns: Mapping[str, Any],
) -> None:
    """Draw a finished run: one HTML page that needs no other file, and each picture as PNG and CSV."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.machine.progress import report_to
    from benchmark.report.write import Request, write_report

    if output is not None and output.exists() and not output.is_dir():
        raise BenchmarkError(f"{output} is a file; name a folder for the report.")
    request = Request(
        run=run,
        perturbations=options.names(perturbations),
        refit=refit,
        output=output,
    )
    with report_to(ProgressBars()):
        written = write_report(request, options.data_of_runs(dataset, columns))
    for each in written.drawn:
        if each.left_out:
            print(f"Left out {each.picture.name}: {each.left_out}")
    print(f"{written.page} has {sum(bool(each.png) for each in written.drawn)} pictures")
