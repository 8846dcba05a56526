"""``benchmark runs``: what is recorded, one run of it, taking runs away, and the store made anew."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from benchmark.cli import options
from benchmark.cli.listings import Named, show
from benchmark.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    from benchmark.records.lookup import Within
    from benchmark.records.tracking import StoredRun

SHOWN = 30
"""Runs that are listed unless more are asked for."""

app = typer.Typer(
    cls=Named,
    help="List recorded runs (NAME: show one), take some away, or make the store anew from their files.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Data = Annotated[str | None, typer.Option("--dataset", help="Only runs on this data set.")]
State = Annotated[
    str | None, typer.Option(help="Only runs that are running, finished, failed, interrupted or killed.")
]
Everything = Annotated[bool, typer.Option("--all", help=f"More than the newest {SHOWN}.")]


@app.callback()
def runs(
    context: typer.Context,
    dataset: Data = None,
    split: options.SplitOfRuns = None,
    seed: options.SeedOfRuns = None,
    method: options.MethodOfRuns = None,
    state: State = None,
    all_: Everything = False,
    json: options.AsJson = False,
) -> None:
    """List recorded runs, the newest first."""
    if context.invoked_subcommand is None:
        list_(dataset, split, seed, method, state, all_, json)


@app.command("list")
def list_(
    dataset: Data = None,
    split: options.SplitOfRuns = None,
    seed: options.SeedOfRuns = None,
    method: options.MethodOfRuns = None,
    state: State = None,
    all_: Everything = False,
    json: options.AsJson = False,
) -> None:
    """List recorded runs, the newest first."""
    from benchmark.records.tracking import Tracker

    within = _within(dataset, split, seed, method, state)
    found = [run for run in Tracker().runs() if run in within]
    if json:
        show([_about(run) for run in found], json)
        return
    if not found:
        print("No run is recorded." if not str(within) else f"No run has {within}.")
        return
    shown = found if all_ else found[:SHOWN]
    show([_row(run) for run in shown], json)
    if len(shown) < len(found):
        print(f"{len(found) - len(shown)} more; --all lists them.")


@app.command("show")
def show_(
    run: Annotated[str, typer.Argument(metavar="RUN", help="As for report; also one that did not finish.")],
    dataset: Data = None,
    split: options.SplitOfRuns = None,
    seed: options.SeedOfRuns = None,
    json: options.AsJson = False,
) -> None:
    """Show one run: its scores and what they cost, or what it came to."""
    from benchmark.records.lookup import LATEST, called_so, finished_run, read_record, several
    from benchmark.records.tracking import Tracker

    tracker, within = Tracker(), _within(dataset, split, seed)
    recorded = tracker.runs()
    found = [each for each in called_so(recorded, run) if each in within]
    if run == LATEST or not found or any(each.status == "finished" for each in found):
        chosen = finished_run(recorded, run, within)
    elif len(found) > 1:
        raise several(run, found)
    else:
        chosen = found[0]
    if chosen.status != "finished":
        print(json_module.dumps(_about(chosen), indent=1) if json else _paragraph(chosen))
        return
    record = read_record(tracker, chosen)
    if json:
        print(record.model_dump_json())
        return
    from benchmark.cli.screen import print_record
    from benchmark.cli.summary import print_summary

    print_record(record, done_now=True, scores=lambda it: print_summary(it, recorded))
    print(f"done {record.started}")


@app.command()
def remove(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="RUN...", help="Ids of runs, or their beginnings.")
    ] = None,
    dataset: Data = None,
    split: options.SplitOfRuns = None,
    seed: options.SeedOfRuns = None,
    method: options.MethodOfRuns = None,
    state: State = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Take away what the filters leave; without it, it is only said.")
    ] = False,
    json: options.AsJson = False,
) -> None:
    """Take runs away, with their files: those that are named, or all that the filters leave."""
    from benchmark.records.tracking import Tracker

    tracker, within = Tracker(), _within(dataset, split, seed, method, state)
    if not names and not str(within):
        raise BenchmarkError("Name runs by their ids, or say which with --state, --method or --dataset.")
    recorded = [run for run in tracker.runs() if run in within]
    chosen = [_by_id(recorded, name) for name in names] if names else recorded
    under_way = [run.run_id[:8] for run in chosen if run.status == "running"]
    if under_way:
        raise BenchmarkError(f"Run {under_way[0]} is under way; stop it first.")
    if not names and not yes and chosen:
        show([_row(run) for run in chosen], json=False)
        raise BenchmarkError(f"These {len(chosen)} would be taken away; --yes does it.")
    for run in chosen:
        tracker.remove(run.run_id)
    if json:
        print(json_module.dumps([run.run_id for run in chosen]))
    else:
        print(f"{len(chosen)} runs removed: {', '.join(run.run_id[:8] for run in chosen) or 'none fits'}")


@app.command()
def rebuild(json: options.AsJson = False) -> None:
    """Make the run store anew from the files of its runs, where the database is lost."""
    from benchmark.records.tracking import Tracker
    from benchmark.records.tracking.rebuild import rebuild as rebuild_store

    outcome = rebuild_store(Tracker())
    if json:
        about = {"rebuilt": outcome.done, "known": outcome.known, "unreadable": outcome.unreadable}
        print(json_module.dumps(about, indent=1))
        return
    for folder, reason in outcome.unreadable.items():
        print(f"Left out {folder}: {reason}", file=sys.stderr)
    print(
        f"{len(outcome.done)} runs are in the store again, {len(outcome.known)} were there; losses by step "
        "and attempts that did not finish were in the database alone"
    )


def _within(
    dataset: str | None,
    split: str | None,
    seed: int | None,
    method: str | None = None,
    state: str | None = None,
) -> Within:
    from benchmark.records.lookup import Within
    from benchmark.records.record import Status

    if state is not None and state not in get_args(Status):
        raise unknown("state", state, get_args(Status))
    return Within(dataset, split, seed, method, state)


def _by_id(runs: Sequence[StoredRun], name: str) -> StoredRun:
    from benchmark.records.lookup import several

    found = [run for run in runs if name and run.run_id.startswith(name)]
    if len(found) > 1:
        raise several(name, found)
    if not found:
        raise unknown(
            "run", name, [run.run_id[:8] for run in runs], "`python -m benchmark runs` lists their ids"
        )
    return found[0]


def _row(run: StoredRun) -> dict[str, Any]:
    about = _about(run)
    settings = about["configuration"]
    unusual = "" if settings in ("default", "") else f" ({settings})"
    return {
        "run": run.run_id[:8],
        "started": about["started"][5:16].replace("T", " "),
        "method": f"{about['method']}{unusual}",
        "data": f"{about['dataset']} {about['split']}-{about['seed']}",
        "state": about["state"] + (f": {about['reason']}" if about["reason"] else ""),
    }


def _about(run: StoredRun) -> dict[str, Any]:
    names = ("method", "configuration", "dataset", "split", "seed", "cells", "key", "reason")
    return {
        "run": run.run_id,
        "started": datetime.fromtimestamp(run.started).isoformat(timespec="seconds"),
        "state": run.status,
        **{name: run.tags.get(name, "") for name in names},
    }


def _paragraph(run: StoredRun) -> str:
    return "\n".join(f"{name}: {value}" for name, value in _about(run).items() if value)
