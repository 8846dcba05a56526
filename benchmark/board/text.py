"""The leaderboard as text for people: tables for the screen, or Markdown."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from benchmark.board.notes import notes
from benchmark.board.rows import Block
from benchmark.board.tables import TABLES, Table

WIDTH = 156
"""Of a table that goes to a file, and the least that one with many columns needs."""

WORDS = 12
"""Least width of the names of methods in a wide table, which has everything."""

NAMES = 18
"""Least width of them in a narrow one, which leaves other things out: that of the harness's own."""

FEWEST_COLUMNS = 3
"""Of a table on a terminal, however narrow: the rank, the method and one number."""


def as_table(blocks: Sequence[Block], table: str = "scores", width: int | None = None) -> str:
    """One table per block for a terminal, each interval below its mean.

    Parameters
    ----------
    blocks
        What is shown.
    table
        Which view: "scores", "scaled", "groups", "transfer" or "tests".
    width
        Columns of the terminal; its own, or 156 where the text goes to a file, unless said. In less than a
        table needs, intervals are left out, then columns from the right, and it is said which.
    """
    screen = io.StringIO()
    terminal = Console()
    console = Console(file=screen, width=width or (terminal.width if terminal.is_terminal else WIDTH))
    reading = ""
    for block in blocks:
        view = TABLES[table](block)
        console.print(_title(block), style="bold", markup=False)
        if view.rows:
            narrow = console.width < WIDTH
            shown, left_out = _narrowed(view, console.width) if narrow else (view, [])
            console.print(_drawn(shown, NAMES if narrow else WORDS))
            if left_out:
                said = f"  left out for want of room: {', '.join(left_out)}; {WIDTH} columns show all"
                console.print(said, markup=False)
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
    context = f", context {block.context}" if block.context else ""
    where = f"{block.dataset}, split {block.split}{context}"
    return f"{where} (seeds {seeds}; data {block.dataset_digest[:10]}{other})"


def _narrowed(view: Table, width: int) -> tuple[Table, list[str]]:
    """What of a table there is room for, and what is left out."""
    left_out: list[str] = []
    if _needed(view) > width and any("\n" in cell for row in view.rows for cell in row):
        words = [heading in view.words for heading in view.columns]
        rows = [
            [cell if is_words else cell.partition("\n")[0] for cell, is_words in zip(row, words, strict=True)]
            for row in view.rows
        ]
        view, left_out = replace(view, rows=rows), ["intervals"]
    while _needed(view) > width and len(view.columns) > FEWEST_COLUMNS:
        left_out.append(_in_one_line(view.columns[-1]))
        view = replace(view, columns=view.columns[:-1], rows=[row[:-1] for row in view.rows])
    return view, left_out


def _needed(view: Table) -> int:
    """The least width in which no number and no name is cut; a space goes before each column."""
    widths = []
    for index, heading in enumerate(view.columns):
        cells = [heading, *(row[index] for row in view.rows)]
        if heading == "method":
            cells = [cell.partition(" ")[0][:NAMES] for cell in cells]
        widths.append(max(len(line) for cell in cells for line in cell.split("\n")))
    return sum(widths) + len(widths) + 1


def _in_one_line(heading: str) -> str:
    return heading.replace("-\n", "").replace("_\n", "_").replace("\n", " ")


def _drawn(view: Table, least: int) -> RichTable:
    """Draw the table so that names are broken before any number is."""
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    at = view.columns.index("method") if "method" in view.columns else 0
    longest = max((len(row[at].partition(" ")[0]) for row in view.rows), default=0)
    for heading in view.columns:
        is_words = heading in view.words
        drawn.add_column(
            heading,
            justify="left" if is_words else "right",
            no_wrap=not is_words,
            overflow="fold",
            min_width=min(longest, least) if heading == "method" else None,
        )
    for row in view.rows:
        drawn.add_row(*row)
    return drawn


def _piped(view: Table) -> str:
    headings = [_in_one_line(heading) for heading in view.columns]
    rows = [[cell.replace("\n", " ") for cell in row] for row in view.rows]
    return markdown_table(headings, rows, view.words)


def markdown_table(headings: Sequence[str], rows: Iterable[Iterable[str]], words: Collection[str]) -> str:
    """Lay out a table in Markdown: the columns of words to the left, the others to the right."""
    ruler = [" --- " if heading in words else " ---: " for heading in headings]
    lines = [f"| {' | '.join(headings)} |", f"|{'|'.join(ruler)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
