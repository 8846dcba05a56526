"""``benchmark network``: whether the attention of a method knows the regulatory network."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli import options
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.studies.network.findings import Findings

ALL_SOURCES = "pretrained,random,shuffled,coexpression"


def network(
    method: Annotated[
        str, typer.Option(help="Name of a method with attention, or path/to/file.py:Class.")
    ] = "grnflow_sparse_pca",
    dataset: Annotated[str, typer.Option(help="Name of a data set with a card.")] = "simulated",
    split: options.Scheme = "doubles",
    seed: Annotated[int, typer.Option(help="Which frozen split, and the seed of the method.", min=0)] = 0,
    sources: Annotated[
        str, typer.Option(metavar="A,B,...", help="Attention sources of the method.")
    ] = ALL_SOURCES,
    set_: options.Settings = None,
    edges: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Known edges, columns source and target; else the simulator's, or collectri.csv.",
        ),
    ] = None,
    device: options.Device = "auto",
    json: options.AsJson = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Write a Markdown report, too.")
    ] = None,
) -> None:
    """Score what a method's attention says about regulation, beside rankings without a transformer.

    Of the split, training cells alone are read.
    """
    from benchmark.cli.screen import ProgressBars
    from benchmark.machine.paths import replacing
    from benchmark.machine.progress import report_to
    from benchmark.studies.network.evaluate import Request, evaluate
    from benchmark.studies.network.report import as_markdown

    if output is not None and not output.parent.is_dir():
        raise BenchmarkError(f"There is no folder {output.parent} to write {output.name} to; make it first.")
    request = Request(
        method=method,
        dataset=dataset,
        split=split,
        seed=seed,
        sources=tuple(dict.fromkeys(name.strip() for name in sources.split(",") if name.strip())),
        settings=options.read_settings(set_),
        edges=edges,
        device=device,
    )
    # What a method prints would spoil the one JSON object.
    with report_to(ProgressBars()), redirect_stdout(sys.stderr):
        findings = evaluate(request)
    if output is not None:
        with replacing(output) as draft:
            draft.write_text(as_markdown(findings), encoding="utf-8")
    if json:
        print(findings.model_dump_json())
    else:
        _print(findings)


def _print(findings: Findings) -> None:
    from benchmark.cli.screen import print_table
    from benchmark.studies.network.report import LEGEND, about, header, table

    print(header(findings))
    for question in findings.questions:
        print_table(table(findings, question), f"{question}: {about(findings, question)}")
    for verdict in findings.verdicts.values():
        print(verdict)
    print(LEGEND)
