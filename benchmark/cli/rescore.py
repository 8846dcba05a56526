"""``benchmark rescore``: finished runs, with the metrics as they are now."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError


@options.reads_files
def rescore(
    run: Annotated[str | None, typer.Option(metavar="RUN_ID", help="Only this run.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also runs that are up to date.")] = False,
    dataset: Annotated[
        str | None, typer.Option(metavar="FILE.h5ad", help="Only runs on this file, which has no card.")
    ] = None,
    json: options.AsJson = False,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Compute the metrics of finished runs anew from their archives, where metrics have changed."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.data import load_dataset
    from benchmark.machine.progress import report_to
    from benchmark.runs.rescore import rescore as rescore_runs

    if columns and dataset is None:
        raise BenchmarkError(
            "The options of a file were given without one; name it with --dataset FILE.h5ad."
        )
    data = None if dataset is None else load_dataset(dataset, **columns)
    with report_to(ProgressBars()):
        outcome = rescore_runs(run, force=force, dataset=data)
    if json:
        print(json_module.dumps(asdict(outcome), indent=1))
    else:
        for name, reason in outcome.skipped.items():
            print(f"Skipped {name}: {reason}")
        print(
            f"{len(outcome.done)} runs rescored, {len(outcome.skipped)} skipped, "
            f"{len(outcome.current)} were up to date"
        )
    if outcome.skipped:
        raise typer.Exit(2)
