"""A page of all commands with their options, as ``--help`` prints them."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from benchmark.cli import app

PROGRAM = "python -m benchmark"
WIDTH = 88
INTRODUCTION = f"""# Commands

What `{PROGRAM} COMMAND --help` prints. An error is one line and exit code 2; `--debug`, anywhere, shows its
traceback.
"""


def pages() -> dict[str, str]:
    """Address in the site -> Markdown."""
    sections = [
        f"## {name}\n\n```text\n{text}\n```" for name, text in _helps(typer.main.get_command(app), "")
    ]
    return {"commands.md": "\n\n".join([INTRODUCTION, *sections])}


def _helps(command, name: str) -> Iterator[tuple[str, str]]:
    """Name and help of a command, or of all commands in a group."""
    path = f"{PROGRAM} {name}".strip()
    context = command.make_context(
        path, [], resilient_parsing=True, max_content_width=WIDTH, terminal_width=WIDTH
    )
    for each in command.list_commands(context) if hasattr(command, "list_commands") else []:
        yield from _helps(command.get_command(context, each), f"{name} {each}".strip())
    if not hasattr(command, "list_commands"):
        yield name, command.get_help(context).rstrip()
