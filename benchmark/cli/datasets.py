"""``benchmark datasets``: what there is, what a file holds, and a card for it."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import options
from benchmark.cli.lines import filled
from benchmark.cli.listings import Named, show

app = typer.Typer(
    cls=Named,
    help="List data sets (NAME: show one), look into a file, and make it one of them.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE.h5ad", help="Single cells with a column of labels.")]


@app.callback()
def datasets(context: typer.Context, json: options.AsJson = False) -> None:
    """List the data sets that have a card, and whether their cells are at hand."""
    if context.invoked_subcommand is None:
        list_(json)


@app.command("list")
def list_(json: options.AsJson = False) -> None:
    """List the data sets that have a card, and whether their cells are at hand."""
    from benchmark.data.cards import list_cards
    from benchmark.data.dataset import availability

    show(
        [
            {
                "name": card.name,
                "title": card.title,
                "modality": card.modality,
                "licence": card.licence,
                "cells": availability(card),
            }
            for card in list_cards()
        ],
        json,
    )


@app.command("show")
def show_(
    name: Annotated[str, typer.Argument(help="Name of a data set.")],
    json: options.AsJson = False,
) -> None:
    """Show what the card of a data set says, where its cells are, and which splits are frozen."""
    from benchmark.data.cards import load_card
    from benchmark.data.dataset import availability
    from benchmark.splits import list_splits

    card = load_card(name)
    said = card.model_dump(mode="json", exclude_defaults=True)
    frozen = [f"{split.scheme}-{split.seed}" for split in list_splits() if split.dataset == name]
    about = {**said, "cells": availability(card), "splits": frozen}
    if json:
        print(json_module.dumps(about, indent=1))
        return
    for field, value in about.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        text = ", ".join(f"{each}={its}" for each, its in value.items()) if isinstance(value, dict) else text
        print(filled(f"{field.replace('_', ' ')}: {' '.join(str(text).split()) or 'none'}", others="  "))


@app.command()
@options.reads_files
def describe(
    file: File,
    *,
    json: options.AsJson = False,
    columns: Mapping[str, Any],
) -> None:
    """Say what a file holds, what is doubtful about it, and which command reads it.

    Little of the matrices is read. What is not said is proposed.
    """
    from benchmark.data.describe import describe as describe_file
    from benchmark.data.file_text import as_json, as_text

    about = describe_file(file, columns)
    print(json_module.dumps(as_json(about), indent=1) if json else as_text(about))


@app.command()
@options.reads_files
def add(
    file: File,
    *,
    name: Annotated[str | None, typer.Option(help="What it is called; as the file unless said.")] = None,
    json: options.AsJson = False,
    columns: Mapping[str, Any],
) -> None:
    """Write a card for a file, so that it is read in this way by its name; the file is read first."""
    from benchmark.data.dataset import add_file

    dataset, path = add_file(file, columns, name)
    cells, genes = dataset.adata.shape
    if json:
        about = {"name": dataset.name, "card": str(path), "cells": cells, "genes": genes}
        print(json_module.dumps(about, indent=1))
        return
    print(f"{path}\n{dataset.name}: {cells:,} cells, {genes:,} genes; try")
    print(f"  python -m benchmark run --method additive --dataset {dataset.name} --split auto")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Name of a data set.")], json: options.AsJson = False
) -> None:
    """Download a data set where it is not at hand, check it and prepare it, without a run."""
    from benchmark.cli.screen import ProgressBars
    from benchmark.data import load_dataset
    from benchmark.machine.progress import report_to

    with report_to(ProgressBars()):
        dataset = load_dataset(name)
    labels = dataset.adata.obs["perturbation"].nunique()
    if json:
        cells, genes = dataset.adata.shape
        print(json_module.dumps({"name": name, "cells": cells, "genes": genes, "labels": labels}, indent=1))
        return
    print(f"{name}: {dataset.adata.n_obs:,} cells, {dataset.adata.n_vars:,} genes, {labels:,} labels, ready")
