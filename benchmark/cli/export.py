"""``benchmark export``: predictions of finished runs as files that others read."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError, unknown

FORMATS = ("vcc", "cell-eval")


@options.reads_files
def export(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Beginning of a run id or key, a method run once, or 'latest'."
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            help="vcc: what `vcc prep` packs; cell-eval: what cell-eval2 reads, with the real cells."
        ),
    ] = "vcc",
    output: Annotated[Path, typer.Option(help="The .h5ad to write.")] = Path("predictions.h5ad"),
    contexts: Annotated[
        str, typer.Option(metavar="A,B", help="For vcc: the context of each run, in their order.")
    ] = "A",
    dataset: options.DataOfRuns = None,
    split: options.SplitOfRuns = None,
    seed: options.SeedOfRuns = None,
    json: options.AsJson = False,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Write what finished runs predicted as a submission to the challenge, or for cell-eval2."""
    from benchmark.runs.export import export_cell_eval, export_vcc

    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if output.suffix != ".h5ad":
        raise BenchmarkError(f"An .h5ad is written; give {output} a name that ends so.")
    within, load = options.runs_on(dataset, split, seed, columns)
    if format == "vcc":
        written = export_vcc(runs, options.names(contexts), output, load, within)
    else:
        if len(runs) > 1:
            raise BenchmarkError(f"cell-eval2 scores one run, but {len(runs)} were named; export each alone.")
        written = export_cell_eval(runs[0], output, load, within)
    print(json_module.dumps([str(path) for path in written]) if json else "\n".join(map(str, written)))
