"""``benchmark new``: begin something of one's own from a template."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import options

app = typer.Typer(help="Begin something of your own from a template.", rich_markup_mode=None)


@app.callback(no_args_is_help=True)
def new() -> None:
    """Begin something of your own from a template."""


@app.command()
def method(
    name: Annotated[str, typer.Argument(help="Of the method, such as my_method.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder to write; as the method, in this folder, unless said.")
    ] = None,
    json: options.AsJson = False,
) -> None:
    """Write a repository for a method: its module, its test, and the entry point that makes it known."""
    from benchmark.testing.template import write_repository

    folder = output or Path(name.replace("_", "-"))
    written = write_repository(name, folder)
    if json:
        print(json_module.dumps([str(path) for path in written]))
        return
    for path in written:
        print(path)
    print(f"\nInstall it, and it is a method like any other:\n  pip install -e {folder}")
    print(f"  python -m benchmark check {name}\n  python -m benchmark run --method {name}")
