"""``benchmark curves``: what more training, or more training perturbations, would buy."""

from __future__ import annotations

import json as json_module
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError


def curves(
    methods: Annotated[str, typer.Option(metavar="A,B", help="Names of methods that are trained.")],
    dataset: Annotated[str, typer.Option(help="Name of a data set with a card.")] = "simulated",
    split: options.Scheme = "doubles",
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0.")] = 3,
    cells: Annotated[int, typer.Option(help="Control cells per perturbation.")] = 256,
    budgets: Annotated[
        str, typer.Option(metavar="A,B", help="What the length of training is multiplied with.")
    ] = "0.25,1,4",
    train_shares: Annotated[
        str, typer.Option(metavar="A,B", help="Parts of the training perturbations.")
    ] = "0.25,0.5,1",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="The report; else leaderboard/curves-DATASET.md.")
    ] = None,
    json: options.AsJson = False,
) -> None:
    """Run methods at several budgets and with parts of the training, and report error against cost."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.machine.progress import report_to
    from benchmark.studies.curves.points import Asked, draw_curves
    from benchmark.studies.curves.report import conclusions, write_report

    asked = Asked(
        methods=tuple(dict.fromkeys(name.strip() for name in methods.split(",") if name.strip())),
        dataset=dataset,
        split=split,
        seeds=seeds,
        cells=cells,
        budgets=_numbers("budgets", budgets),
        shares=_numbers("train-shares", train_shares),
    )
    report = options.report_file(output, f"curves-{Path(dataset).stem}")
    with report_to(ProgressBars()), redirect_stdout(sys.stderr):
        found = draw_curves(asked)
        write_report(found, report)
    said = [line.replace("**", "") for line in conclusions(found)]
    if json:
        print(json_module.dumps({"report": str(report), "conclusions": said, "failed": len(found.failed)}))
    else:
        for line in said:
            print(line)
        print(f"{len(found.failed)} runs failed; " if found.failed else "", end="")
        print(f"the report is {report}")
    if found.failed:
        raise typer.Exit(1)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BenchmarkError(
            f"--{option} takes numbers with commas between, such as 0.5,1; not '{text}'."
        ) from None
