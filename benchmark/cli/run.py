"""``benchmark run``: one method on one split of one data set."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options
from benchmark.cli.together import in_processes, processes, taking_part
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.records.record import Tuning


@options.reads_files
def run(
    context: typer.Context,
    method: Annotated[str, typer.Option(help="Name of a method, or path/to/file.py:Class.")],
    dataset: Annotated[str, typer.Option(help="Name of a data set, or path to an .h5ad file.")] = "simulated",
    split: options.Scheme = "doubles",
    seed: Annotated[int, typer.Option(help="Which frozen split, and the seed of the method.", min=0)] = 0,
    preset: Annotated[str | None, typer.Option(help="A named set of hyper-parameters.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Hyper-parameters that `tune` found; --set goes before."),
    ] = None,
    set_: options.Settings = None,
    cells: Annotated[
        int, typer.Option(help="Control cells that each perturbation is predicted for, if there are as many.")
    ] = 256,
    samples: Annotated[int, typer.Option(help="Predicted cells per control cell.")] = 1,
    budget: Annotated[
        float, typer.Option(help="What the length of training is multiplied with; not on boards unless 1.")
    ] = 1.0,
    train_share: Annotated[
        float, typer.Option(help="Part of the training perturbations; not on boards unless 1.")
    ] = 1.0,
    device: options.Device = "auto",
    devices: Annotated[
        int, typer.Option(help="Processes that share the training, each with a device of its own.", min=1)
    ] = 1,
    force: Annotated[bool, typer.Option("--force", help="Repeat a run that is finished.")] = False,
    json: options.AsJson = False,
    all_: Annotated[bool, typer.Option("--all", help="Print every metric, not the headline ones.")] = False,
    anchors: options.Anchors = True,
    shared_controls: options.SharedControls = False,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Fit a method, predict the test perturbations, score them and keep the record."""
    from benchmark.cli.screen import ProgressBars, print_record
    from benchmark.cli.summary import print_summary
    from benchmark.machine.peers import first_goes_first
    from benchmark.machine.progress import Silent, report_to
    from benchmark.records.tracking import Tracker
    from benchmark.runs.anchors import ensure_anchors
    from benchmark.runs.request import Request, prepare
    from benchmark.runs.run import assist, perform

    started = processes(devices)
    if started < devices:
        raise typer.Exit(in_processes(context.obj, devices, device))
    settings, tuning = options.read_settings(set_), None
    if config is not None:
        settings, tuning = _tuned(config, method, preset, settings)
    request = Request(
        method=method,
        dataset=dataset,
        split=split,
        seed=seed,
        preset=preset,
        settings=settings,
        device=device,
        cells=cells,
        samples=samples,
        devices=started,
        force=force,
        columns=columns,
        shared_controls=shared_controls,
        tuning=tuning,
        budget=budget,
        train_share=train_share,
    )
    # What a method prints would spoil the one JSON object.
    with (
        redirect_stdout(sys.stderr),
        taking_part(started, device) as first,
        report_to(ProgressBars() if first else Silent()),
    ):
        with first_goes_first():
            task = prepare(request)
        if not first:
            assist(task, force)
            return
        record, done_now = perform(task, force)
    if anchors:
        with report_to(ProgressBars()), redirect_stdout(sys.stderr):
            ensure_anchors(request, record.coordinates)
    if json:
        print(record.model_dump_json())
    else:
        print_record(record, done_now, None if all_ else lambda it: print_summary(it, Tracker().runs()))
    if record.tuned_on_test:
        print(
            f"{len(record.tuned_on_test)} of the {len(record.perturbations)} test perturbations had a say in "
            f"the configuration, such as {record.tuned_on_test[0]}: they are no test of it.",
            file=sys.stderr,
        )


def _tuned(
    file: Path, method: str, preset: str | None, given: dict[str, str]
) -> tuple[dict[str, Any], Tuning]:
    """Return the settings of a file of `tune`, less what is given, and where they come from."""
    from benchmark.registry import load_method
    from benchmark.tuning.best import read_tuned

    if preset is not None:
        raise BenchmarkError(f"{file} holds every hyper-parameter; leave out --preset {preset}, or --config.")
    tuned = read_tuned(file, load_method(method).name)
    return {**tuned.config, **given}, tuned.ledger(file, given)
