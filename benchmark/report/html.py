"""Pieces of a page that opens from disk and needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
img { max-width: 100%; height: auto; background: white; border-radius: 4px; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8886; }
td { vertical-align: top; overflow-wrap: break-word; white-space: pre-line; }
td:first-child { min-width: 7rem; }
.out { opacity: .8; } figure { margin: 0; overflow-x: auto; } figcaption { position: sticky; left: 0; }
@media (max-width: 48rem) {
  figure img { max-width: none; width: 44rem; }
  th, td { padding-right: .5rem; }
}
"""


def document(title: str, parts: Sequence[str]) -> str:
    """Return a whole page of some pieces, under a title."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"
    )


def heading(text: str, name: str = "") -> str:
    """Return a heading, which links can name."""
    return f'<h2 id="{escape(name)}">{escape(text)}</h2>' if name else f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def picture(png: bytes, title: str, reading: str = "") -> str:
    """Return a picture that is in the page itself, and how it is read."""
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="{escape(title)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(reading)}</figcaption></figure>"
    )


def table(rows: Sequence[tuple[str, ...]], heads: tuple[str, ...]) -> str:
    """Return a table of texts."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(cell: str) -> str:
    """A cell, whose names may be broken after their underscores."""
    return escape(cell).replace("_", "_<wbr>")
