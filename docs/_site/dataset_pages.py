"""A page of the data sets, from their cards."""

from __future__ import annotations

import inspect
import re

from markdown_pieces import code, table

from benchmark.data.cards import DatasetCard, FileCard, list_cards

FIELDS = ("licence", "citation", "modality", "expression", "gene_selection", "gene_sets", "url", "notes")
WHERE = {
    True: "simulated on this machine",
    False: "a file, looked for in the cache, in the folders of `BENCHMARK_DATA`, then at the address",
}


def pages() -> dict[str, str]:
    """Address in the site -> Markdown."""
    cards = list_cards()
    overview = table([{"name": f"[`{card.name}`](#{card.name})", "title": card.title} for card in cards])
    return {
        "datasets.md": "# Data sets\n\nEach is a card in `datasets/`. [Bring your data](your-data.md) says "
        f"how one is written.\n\n{overview}\n" + "\n".join(_section(card) for card in cards) + _fields()
    }


def _section(card: DatasetCard) -> str:
    rows = {name.replace("_", " "): getattr(card, name) for name in FIELDS}
    rows["cells come from"] = WHERE[card.simulator is not None]
    known = [{"what": name, "declared": value} for name, value in rows.items() if value]
    return f"## {card.name} {{ #{card.name} }}\n\n{card.title}\n\n{table(known)}\n"


def _fields() -> str:
    """What a card may say: its types and defaults, and the words of its class."""
    words = _words(FileCard) | _words(DatasetCard)
    rows = [
        {
            "field": code(name),
            "default": "" if field.is_required() else code(field.get_default(call_default_factory=True)),
            "meaning": words.get(name, ""),
        }
        for name, field in DatasetCard.model_fields.items()
    ]
    return f"## Fields of a card\n\n{table(rows)}"


def _words(card: type[FileCard]) -> dict[str, str]:
    """Field -> its description in the class's docstring, in NumPy's style."""
    attributes = inspect.cleandoc(card.__doc__ or "").partition("----------\n")[2]
    entries = re.findall(r"^(\w[\w, ]*)\n((?:    .*\n?)+)", attributes, re.MULTILINE)
    return {
        name: " ".join(text.split()).replace("``", "`")
        for names, text in entries
        for name in names.split(", ")
    }
