"""The leaderboard as text for people: tables for the screen, or Markdown."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from benchmark.board.notes import notes
from benchmark.board.rows import Block
from benchmark.board.tables import TABLES, Table

WIDTH = 156
"""Of a table that goes to a file, and the least that one with many columns needs."""

WORDS = 12
"""Least width of the names of methods."""


def as_table(blocks: Sequence[Block], table: str = "scores", width: int | None = None) -> str:
    """One table per block for a terminal, each interval below its mean.

    Parameters
    ----------
    blocks
        What is shown.
    table
        Which view: "scores", "scaled", "groups" or "tests".
    width
        Columns of the terminal; its own, or 156 where the text goes to a file, unless said.
    """
    screen = io.StringIO()
    terminal = Console()
    console = Console(file=screen, width=width or (terminal.width if terminal.is_terminal else WIDTH))
    reading = ""
    for block in blocks:
        view = TABLES[table](block)
        console.print(_title(block), style="bold", markup=False)
        if view.rows:
            # In less, Rich would leave names away; so a narrow terminal breaks the lines of a wide table.
            Console(file=screen, width=max(console.width, WIDTH)).print(_drawn(view))
            reading = view.reading
        else:
            console.print(f"  {view.absent}", markup=False)
        for note in notes(block):
            console.print(f"  {note}", markup=False)
        console.print()
    if reading:
        console.print(reading, markup=False)
    return screen.getvalue()


def as_markdown(blocks: Sequence[Block]) -> str:
    """One section per block, with all tables that apply and a list of what has to be said."""
    sections = ["# Leaderboard"]
    for block in blocks:
        sections.append(f"## {_title(block)}")
        for view in (build(block) for build in TABLES.values()):
            if view.rows:
                sections += [f"### {view.title}", view.reading, _piped(view)]
        said = notes(block)
        if said:
            sections.append("\n".join(f"- {note}" for note in said))
    return "\n\n".join(sections) + "\n"


def _title(block: Block) -> str:
    seeds = ", ".join(map(str, block.seeds)) or "none finished"
    other = f"; an older split {block.other_split[:10]}" if block.other_split else ""
    return f"{block.dataset}, split {block.split} (seeds {seeds}; data {block.dataset_digest[:10]}{other})"


def _drawn(view: Table) -> RichTable:
    """Draw the table so that names are broken before any number is."""
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for heading in view.columns:
        is_words = heading in view.words
        drawn.add_column(
            heading,
            justify="left" if is_words else "right",
            no_wrap=not is_words,
            overflow="fold",
            min_width=WORDS if is_words and heading == "method" else None,
        )
    for row in view.rows:
        drawn.add_row(*row)
    return drawn


def _piped(view: Table) -> str:
    headings = [heading.replace("-\n", "").replace("_\n", "_").replace("\n", " ") for heading in view.columns]
    rows = [[cell.replace("\n", " ") for cell in row] for row in view.rows]
    return markdown_table(headings, rows, view.words)


def markdown_table(headings: Sequence[str], rows: Iterable[Iterable[str]], words: Collection[str]) -> str:
    """Lay out a table in Markdown: the columns of words to the left, the others to the right."""
    ruler = [" --- " if heading in words else " ---: " for heading in headings]
    lines = [f"| {' | '.join(headings)} |", f"|{'|'.join(ruler)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
