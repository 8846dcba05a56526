"""``benchmark compare``: two runs, perturbation by perturbation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    from benchmark.report.comparison.pairs import Comparison

SUFFIXES = (".html", ".png")


@options.reads_files
def compare(
    first: Annotated[
        str, typer.Argument(metavar="RUN", help="As for report; positive differences mean it is better.")
    ],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run that it is compared with.")],
    metrics: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Metrics to compare in; the headline metrics unless said."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="By which wins and losses are listed; pearson unless said."),
    ] = None,
    json: options.AsJson = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.html|.png", help="Also write a page, or the picture alone.")
    ] = None,
    dataset: options.DataOfRuns = None,
    split: options.SplitOfRuns = None,
    seed: options.SeedOfRuns = None,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Say where one run is better than another, on the same test perturbations."""
    from benchmark.records.lookup import finished_run, read_record
    from benchmark.records.tracking import Tracker
    from benchmark.report.comparison.pairs import chosen_metrics, require_comparable
    from benchmark.report.comparison.pairs import compare as compare_records
    from benchmark.report.comparison.words import as_json

    if output is not None and output.suffix not in SUFFIXES:
        raise unknown("kind of picture", output.suffix or output.name, SUFFIXES, "name a file .html or .png")
    if output is not None and not output.parent.is_dir():
        raise BenchmarkError(f"There is no folder {output.parent} to write {output.name} to; make it first.")
    within, load = options.runs_on(dataset, split, seed, columns)
    tracker = Tracker()
    runs = tracker.runs("attributes.status = 'FINISHED'")
    one, other = finished_run(runs, first, within), finished_run(runs, second, within)
    names = chosen_metrics(options.names(metrics), one, other)
    chosen = by or ("pearson" if "pearson" in names else names[0])
    if chosen not in names:
        raise unknown("metric among those compared", chosen, names)
    require_comparable(one, other, names)
    comparison = compare_records(read_record(tracker, one), read_record(tracker, other), names, load)
    if output is not None:
        _write(comparison, chosen, output)
    if json:
        print(as_json(comparison))
    else:
        _print(comparison, chosen)


def _write(comparison: Comparison, by: str, output: Path) -> None:
    from benchmark.machine.paths import replacing
    from benchmark.report.comparison.picture import draw
    from benchmark.report.comparison.words import as_html, title

    png = draw(comparison, title(comparison.first), title(comparison.second))
    contents: dict[str, Callable[[], Any]] = {
        ".png": lambda: png,
        ".html": lambda: as_html(comparison, by, png).encode(),
    }
    with replacing(output) as draft:
        draft.write_bytes(contents[output.suffix]())


def _print(comparison: Comparison, by: str) -> None:
    from benchmark.cli.lines import filled
    from benchmark.cli.screen import print_table
    from benchmark.report.comparison.words import READING, question, tables, title

    print(f"first:  {title(comparison.first)}\nsecond: {title(comparison.second)}\n{question(comparison)}")
    for heading, rows in tables(comparison, by):
        if rows:
            print(f"\n{heading}")
            print_table(rows, close=True)
        else:
            print(f"{heading}: nowhere")
    for note in (*comparison.notes, READING):
        print(filled(note))
