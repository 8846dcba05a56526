"""The page as one text: data, HTML, CSS and JavaScript inlined."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from benchmark.board.page.packed import packed_json

SCRIPTS = (
    "elements.js",
    "unpack.js",
    "numbers.js",
    "scale.js",
    "state.js",
    "columns.js",
    "verdict.js",
    "controls.js",
    "cells.js",
    "table.js",
    "perturbations.js",
    "details.js",
    "transfer.js",
    "published.js",
    "trust.js",
    "costs.js",
    "overview.js",
    "copying.js",
    "main.js",
)
"""In the order in which they are run; each is a part of one script."""

STYLES = ("base.css", "controls.css", "table.css", "details.css", "charts.css", "transfer.css", "phone.css")


def as_html(content: Mapping[str, Any]) -> str:
    """Put the page together.

    Its policy lets the browser run this script and no other, and load nothing, so that a name which looks
    like markup does no harm even if it were ever read as such.
    """
    script = "".join(f"\n// {name}\n{_part(name)}" for name in SCRIPTS)
    inlined = {
        "STYLE": "\n".join(_part(name) for name in STYLES),
        "SCRIPT_DIGEST": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "SCRIPT": script,
        "DATA": packed_json(content),
    }
    pieces = _part("page.html").split("%%")  # text and names by turns
    return "".join(inlined[piece] if index % 2 else piece for index, piece in enumerate(pieces))


def _part(name: str) -> str:
    return files(__package__).joinpath("parts", name).read_text(encoding="utf-8")
