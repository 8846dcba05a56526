"""``benchmark run``: one method on one split of one data set."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from benchmark.errors import BenchmarkError


def run(
    method: Annotated[str, typer.Option(help="Name of a method, or path/to/file.py:Class.")],
    dataset: Annotated[str, typer.Option(help="Name of a data set, or path to an .h5ad file.")] = "simulated",
    split: Annotated[str, typer.Option(help="Split scheme.")] = "doubles",
    seed: Annotated[int, typer.Option(help="Which frozen split, and the seed of the method.", min=0)] = 0,
    preset: Annotated[str | None, typer.Option(help="A named set of hyper-parameters.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One hyper-parameter; repeatable.")
    ] = None,
    cells: Annotated[int, typer.Option(help="Control cells that each perturbation is predicted for.")] = 256,
    samples: Annotated[int, typer.Option(help="Predicted cells per control cell.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Repeat a run that is finished.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the record as one JSON object.")] = False,
    perturbation_column: Annotated[str | None, typer.Option(help="For a path: obs column of labels.")] = None,
    control_label: Annotated[str | None, typer.Option(help="For a path: label of control cells.")] = None,
    expression: Annotated[str | None, typer.Option(help="For a path: what X holds, counts or log1p.")] = None,
    separator: Annotated[str | None, typer.Option(help="For a path: what stands between two genes.")] = None,
) -> None:
    """Fit a method, predict the test perturbations, score them and keep the record."""
    from benchmark.progress import report_to
    from benchmark.runner import Request
    from benchmark.runner import run as run_request
    from benchmark.screen import ProgressBars, print_record

    columns = {
        "perturbation_column": perturbation_column,
        "control_label": control_label,
        "expression": expression,
        "separator": separator,
    }
    request = Request(
        method=method,
        dataset=dataset,
        split=split,
        seed=seed,
        preset=preset,
        settings=read_settings(set_ or []),
        device=device,
        cells=cells,
        samples=samples,
        force=force,
        columns={name: value for name, value in columns.items() if value is not None},
    )
    # What a method prints would spoil the one JSON object.
    with report_to(ProgressBars()), redirect_stdout(sys.stderr):
        record, done_now = run_request(request)
    if json:
        print(record.model_dump_json())
    else:
        print_record(record, done_now)


def read_settings(pairs: list[str]) -> dict[str, str]:
    """Read what `--set` was given, as names and texts."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BenchmarkError(f"--set takes NAME=VALUE, not '{pair}'.")
        settings[name.strip()] = value.strip()
    return settings
