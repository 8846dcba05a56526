"""``benchmark protocol``: evaluate as somebody else did, beside what they published."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.cli import options
from benchmark.cli.listings import show
from benchmark.cli.suite import replay as replay_document
from benchmark.cli.suite import score_requests
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.data import Dataset
    from benchmark.runs.request import Request
    from benchmark.studies.protocols import Checked, ProtocolCard


def protocol(
    name: Annotated[str | None, typer.Argument(help="A protocol; without one, all are listed.")] = None,
    method: Annotated[
        str | None, typer.Option(help="Method to run under it, or path/to/file.py:Class.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="A named set of hyper-parameters.")] = None,
    set_: options.Settings = None,
    seeds: Annotated[str | None, typer.Option(help="Only these seeds of the protocol, such as 0,1.")] = None,
    device: options.Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Repeat runs that are finished.")] = False,
    accept_mismatch: Annotated[
        bool, typer.Option("--accept-mismatch", help="Go on where sanity values are not the published ones.")
    ] = False,
    anchors: options.Anchors = True,
    dataset: Annotated[
        str | None, typer.Option(help="Another data set, for a protocol of any, such as vcc2026.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Another split scheme, for the same.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write evaluation_results.json to this folder, for the same.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Score the run of an evaluation_results.json anew and compare.")
    ] = None,
    json: options.AsJson = False,
) -> None:
    """Check data and splits against published values, run a method, show it beside published rows."""
    from benchmark.data import load_dataset
    from benchmark.runs.request import Request
    from benchmark.studies.protocols import as_rows, citations, load_protocol, protocol_lines, sanity_values

    if name is None:
        show(_listing(), json)
        return
    card = load_protocol(name)
    if card.anchors is None:
        _refuse_options(card, {"dataset": dataset, "split": split, "output": output, "replay": replay})
    elif replay is not None:
        replay_document(replay)
        return
    elif method is None:
        raise BenchmarkError(f"Protocol '{name}' scores a method; name one with --method.")
    card = card.model_copy(update=options.given(dataset=dataset, split=split))
    chosen = _chosen(card, seeds)
    data = load_dataset(card.dataset)
    requests = [
        Request(
            method=str(method),
            dataset=card.dataset,
            split=card.split,
            seed=seed,
            preset=preset,
            settings=options.read_settings(set_),
            device=device,
            cells=card.cells,
            force=force,
            shared_controls=card.shared_controls,
        )
        for seed in (chosen if method is not None else [])
    ]
    if card.anchors is not None:
        score_requests(card, requests, data, output, json)
        return
    checked = sanity_values(card, data)
    if not json:
        _print_sanity(card, checked)
    _settle(card, checked, accept_mismatch)
    for request in requests:
        _run(request, data, anchors)
    lines = protocol_lines(card, data)
    if json:
        sanity = [{**each.value.model_dump(), "found": each.found, "agrees": each.agrees} for each in checked]
        about = {"protocol": card.name, "sanity": sanity, "rows": [asdict(line) for line in lines]}
        print(json_module.dumps(about, indent=1))
        return
    show(as_rows(card, lines), json=False, title=f"{card.title}: {card.dataset}, split {card.split}")
    for number, citation in enumerate(citations(lines), start=1):
        print(f"[{number}] {citation}")


def _refuse_options(card: ProtocolCard, given: Mapping[str, object]) -> None:
    """Refuse options that are for protocols of any data set."""
    for option, value in given.items():
        if value is not None:
            raise BenchmarkError(
                f"Protocol '{card.name}' is of '{card.dataset}' as it was published; leave out --{option}."
            )


def _listing() -> list[dict[str, Any]]:
    from benchmark.data.cards import load_card
    from benchmark.data.dataset import availability
    from benchmark.studies.protocols import list_protocols

    return [
        {
            "name": card.name,
            "title": card.title,
            "dataset": card.dataset,
            "split": card.split,
            "seeds": ", ".join(map(str, card.seeds)),
            "published_rows": len(card.published),
            "cells": availability(load_card(card.dataset)),
        }
        for card in list_protocols()
    ]


def _chosen(card: ProtocolCard, seeds: str | None) -> list[int]:
    """Read `--seeds`; all of the protocol unless said. One of any data set takes any seeds."""
    if seeds is None:
        return list(card.seeds)
    if card.anchors is not None:
        from benchmark.sweep.plan import read_seeds

        try:
            return list(read_seeds(seeds))
        except ValueError as error:
            raise BenchmarkError(f"{str(error).capitalize()}; write them so after --seeds.") from error
    asked = [part.strip() for part in seeds.split(",")]
    for part in asked:
        if part not in {str(seed) for seed in card.seeds}:
            known = ", ".join(map(str, card.seeds))
            raise BenchmarkError(f"'{part}' is no seed of protocol '{card.name}'; choose among {known}.")
    return [int(part) for part in asked]


def _print_sanity(card: ProtocolCard, checked: list[Checked]) -> None:
    from benchmark.studies.protocols.quantities import QUANTITIES

    rows = [
        {
            "sanity value": QUANTITIES[each.value.quantity].meaning,
            "seed": "all" if each.value.seed is None else each.value.seed,
            "found": f"{each.found:.6g}",
            "expected": f"{each.value.expected:.6g}",
            "difference": f"{each.found - each.value.expected:+.2g}",
            "allowed": f"{each.value.tolerance:.0%}" if each.value.tolerance else "none",
            "": "agrees" if each.agrees else "DIFFERS",
        }
        for each in checked
    ]
    show(rows, json=False, title=f"{card.name}: data and splits against what was published")


def _settle(card: ProtocolCard, checked: list[Checked], accept_mismatch: bool) -> None:
    """Stop at a mismatch, or say that it was accepted."""
    from benchmark.studies.protocols import require_agreement

    try:
        require_agreement(card, checked)
    except BenchmarkError as error:
        if not accept_mismatch:
            raise
        print(f"Accepted: {error}", file=sys.stderr)


def _run(request: Request, dataset: Dataset, anchors: bool) -> None:
    """Run a method, with its progress and whatever it prints on stderr, and then the anchors."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.machine.progress import report_to
    from benchmark.runs.anchors import ensure_anchors
    from benchmark.runs.run import run

    with report_to(ProgressBars()), redirect_stdout(sys.stderr):
        record, _ = run(request, dataset)
        if anchors:
            ensure_anchors(request, record.coordinates)
