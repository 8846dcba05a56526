"""``benchmark order``: whether the change of the network comes before the change of expression."""

from __future__ import annotations

import json as json_module
import sys
import textwrap
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options

WIDTH = 80
"""Columns of what is printed."""


def order(
    dataset: Annotated[str, typer.Option(help="Name of a data set with a card.")] = "simulated",
    split: options.Scheme = "doubles",
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0.")] = 3,
    cells: Annotated[int, typer.Option(help="Predicted cells per perturbation.")] = 256,
    preset: Annotated[str | None, typer.Option(help="A named set of hyper-parameters, for both.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One hyper-parameter, where it exists; repeatable."),
    ] = None,
    sources: Annotated[
        str,
        typer.Option(
            metavar="A,B,...",
            help="Sources of the network: pretrained, regression, and on simulated data oracle; else all.",
        ),
    ] = "",
    controls: Annotated[
        str,
        typer.Option(
            metavar="A,B,...",
            help="Negative controls beside noise and wrong: random, shuffled, coexpression.",
        ),
    ] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Say what is needed and how long it takes.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="The report; else leaderboard/order-DATASET.md.")
    ] = None,
    device: options.Device = "auto",
    method: Annotated[
        str, typer.Option(help="A method with the hyper-parameters order and attention_source.")
    ] = "grnflow_any_order",
    without_latent: Annotated[
        str, typer.Option(help="The method without a latent, or none to leave it out.")
    ] = "scdfm",
    json: options.AsJson = False,
) -> None:
    """Predict in three orders from the same weights, by several sources; report what it shows."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.machine.progress import report_to
    from benchmark.records.tracking import Tracker
    from benchmark.studies.order.answer import summary
    from benchmark.studies.order.execute import execute
    from benchmark.studies.order.experiment import Experiment
    from benchmark.studies.order.findings import gather
    from benchmark.studies.order.forecast import make_forecast
    from benchmark.studies.order.plan import make_plan
    from benchmark.studies.order.report import write_report

    experiment = Experiment(
        dataset=dataset,
        split=split,
        seeds=seeds,
        cells=cells,
        preset=preset,
        settings=options.read_settings(set_),
        sources=_names(sources),
        controls=_names(controls),
        device=device,
        method=method,
        without_latent=without_latent,
    )
    report = options.report_file(output, f"order-{Path(dataset).stem}")
    # What a method prints is of no interest to whoever reads the answer.
    with report_to(ProgressBars()), redirect_stdout(sys.stderr):
        needed = make_plan(experiment)
        tracker = Tracker()
        tracker.close_dead_runs()
        forecast = make_forecast(needed, tracker)
    if plan:
        print(json_module.dumps({"forecast": str(forecast)}) if json else forecast)
        return
    print(forecast, file=sys.stderr)
    with report_to(ProgressBars()), redirect_stdout(sys.stderr):
        findings = gather(needed, tracker, execute(needed, tracker))
        write_report(findings, report)
    if json:
        about = {
            "report": str(report),
            "summary": list(summary(findings)),
            "missing": len(findings.missing),
        }
        print(json_module.dumps(about, indent=1))
        raise typer.Exit(1 if findings.missing else 0)
    for sentence in summary(findings):
        print(textwrap.fill(sentence, WIDTH, subsequent_indent="  "))
    print(f"{len(findings.missing)} predictions are missing; " if findings.missing else "", end="")
    print(f"the report is {report}")
    if findings.missing:
        raise typer.Exit(1)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
