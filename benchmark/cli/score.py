"""``benchmark score``: predictions that came from anywhere."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options

LABELS: dict[str, Any] = {"perturbation_column": "perturbation", "control_label": "control", "separator": "+"}
"""How predictions are labelled unless it is said."""

if TYPE_CHECKING:
    from benchmark.runs.handed_in import Scored
    from benchmark.splits import Split


@options.reads_files
def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS",
            help="An .h5ad of cells x genes, log1p of counts per 10,000 or counts; or a .vcc.",
        ),
    ],
    dataset: Annotated[str, typer.Option(help="Name of a data set, or path to an .h5ad file.")] = "simulated",
    split: options.Scheme = "doubles",
    seed: Annotated[int, typer.Option(help="Which frozen split.", min=0)] = 0,
    name: Annotated[str | None, typer.Option(help="Record the scores under this name.")] = None,
    predicts: Annotated[str, typer.Option(help="What a row is: cells, or mean.")] = "cells",
    holds: Annotated[
        str | None, typer.Option(help="What X holds: log1p, or counts; what the file says unless given.")
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="Which context of a submission to the challenge this is.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score what is missing as the train mean.")
    ] = False,
    json: options.AsJson = False,
    anchors: options.Anchors = True,
    *,
    columns: Mapping[str, Any],
) -> None:
    """Score predictions of the test perturbations that came from anywhere.

    What is recorded under a name stands beside the rows that every board has. Column, control label and
    separator say how to read the predictions, and for a data set by path both files.
    """
    from benchmark.cli.screen import ProgressBars
    from benchmark.data import load_dataset
    from benchmark.machine.progress import report_to
    from benchmark.runs.anchors import ensure_anchors
    from benchmark.runs.handed_in import check_name, score_file
    from benchmark.runs.request import Request
    from benchmark.splits import load_split

    if name is not None:
        check_name(name)
    reading = {field: columns.get(field, usual) for field, usual in LABELS.items()}
    if isinstance(reading["control_label"], tuple):
        reading["control_label"] = reading["control_label"][0]
    by_path = {**LABELS, **columns} if columns and dataset.endswith(".h5ad") else {}
    data = load_dataset(dataset, **by_path)
    frozen = load_split(data, split, seed)
    with report_to(ProgressBars()):
        scored = score_file(
            predictions,
            data,
            frozen,
            name=name,
            predicts=predicts,
            allow_missing=allow_missing,
            **reading,
            **options.given(holds=holds, context=context),
        )
    for note in scored.submission.notes:
        print(f"Note: {note}.", file=sys.stderr)
    if json:
        print(_as_json(scored, frozen))
    else:
        _print(scored, predictions, frozen)
    if anchors and scored.record is not None:
        at = scored.record.coordinates
        request = Request(at.method, dataset, split, seed, columns=by_path)
        with report_to(ProgressBars()), redirect_stdout(sys.stderr):
            ensure_anchors(request, at)


def _as_json(scored: Scored, split: Split) -> str:
    """Return the record, or as much of one as there is."""
    from benchmark.runs.keep import score_fields

    if scored.record is not None:
        return scored.record.model_dump_json()
    fields = score_fields(scored.scores, split)
    fields["metrics"] = {name: summary.model_dump() for name, summary in fields["metrics"].items()}
    return json_module.dumps({**fields, "fallbacks": scored.submission.fallbacks})


def _print(scored: Scored, predictions: Path, split: Split) -> None:
    from benchmark.cli.screen import print_metrics, print_record
    from benchmark.runs.keep import score_fields

    if scored.record is not None:
        print_record(scored.record, done_now=True)
        return
    submission = scored.submission
    print(f"{predictions.name} on {split.dataset}, split {split.scheme}, seed {split.seed}")
    print_metrics(score_fields(scored.scores, split)["metrics"], predictions.name)
    print(f"{submission.cells} cells per perturbation at least; not recorded (--name NAME records it)")
    for label, reason in submission.fallbacks.items():
        print(f"  {label}: {reason}, and the train mean was scored in its place")
