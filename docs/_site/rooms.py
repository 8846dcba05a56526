"""The rooms of the harness: the table that says what may import what, what does, and a picture of both."""

from __future__ import annotations

import ast
import re
from collections import Counter
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = "images/rooms.svg"
ROW, LEFT, TOP, WIDTH, REACH = 44, 8, 30, 230, 26
"""Of the picture, in pixels: height of a row, margins, width of a box, how far out an arc goes per row."""


def table() -> list[list[str]]:
    """Read the rows of the table from the top: the names of the rooms, or of the files, in each."""
    lines = PAGE.read_text(encoding="utf-8").partition("| room |")[2].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append(
            [name.rstrip("/").removesuffix(".py") for name in re.findall(r"`([^`]+)`", line.split("|")[1])]
        )
    return rows


def modules() -> dict[str, Path]:
    """Find every module of the harness: its dotted name and its file."""
    return {_dotted(path): path for path in sorted((ROOT / "benchmark").rglob("*.py"))}


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the known modules that a file imports, wherever in it, and for type checkers too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in known else node.module for name in whole}
    return names & known.keys()


def room_of(module: str) -> str:
    """Return the room of ``benchmark.room.more``; the package itself has none."""
    return module.split(".")[1] if "." in module else ""


def arrows() -> Counter[tuple[str, str]]:
    """Count the imports from one room to another."""
    known = modules()
    pairs = (
        (room_of(name), room_of(other)) for name, path in known.items() for other in imported(path, known)
    )
    return Counter((one, two) for one, two in pairs if one != two and one and two)


def picture() -> str:
    """Draw the rows of the table as boxes, and the imports between them as arcs that lead down."""
    rows = table()
    place = {name: number for number, names in enumerate(rows) for name in names}
    counted: Counter[tuple[int, int]] = Counter()
    for (one, two), count in arrows().items():
        if one in place and two in place and place[one] != place[two]:
            counted[place[one], place[two]] += count
    arcs = [_arc(one, two, count) for (one, two), count in sorted(counted.items())]
    boxes = [_box(number, names) for number, names in enumerate(rows)]
    width = LEFT + WIDTH + REACH * len(rows) // 2 + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + ROW * len(rows)}" '
        'font-family="system-ui, sans-serif" font-size="13">\n'
        f'<text x="{LEFT}" y="18" fill="#5b6472">An arc: the upper room imports the lower one; '
        "the thicker, the more often.</text>\n" + "\n".join([*arcs, *boxes]) + "\n</svg>\n"
    )


def pages() -> dict[str, str | bytes]:
    """Address in the site -> the picture."""
    return {PICTURE: picture()}


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _box(number: int, names: list[str]) -> str:
    words = ", ".join(names) if len(names) < 4 else f"the contract: {names[0]} and its neighbours"
    y = TOP + ROW * number
    return (
        f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{ROW - 12}" rx="5" fill="#e8eef5" '
        'stroke="#0072b2"/>'
        f'<text x="{LEFT + 10}" y="{y + 21}" fill="#1f2430">{escape(words)}</text>'
    )


def _arc(one: int, two: int, count: int) -> str:
    """An arc from the right edge of one row to that of another, further out the further they are apart."""
    x, start, end = LEFT + WIDTH, TOP + ROW * one + 12, TOP + ROW * two + 20
    out = x + REACH * abs(two - one) // 2 + 30
    colour = "#0072b2" if two > one else "#d55e00"
    return (
        f'<path d="M{x} {start} C{out} {start} {out} {end} {x} {end}" fill="none" stroke="{colour}" '
        f'stroke-opacity=".45" stroke-width="{0.8 + 0.12 * min(count, 40):.1f}"/>'
    )
