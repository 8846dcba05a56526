"""A page for every protocol, with the numbers that were published for it, from its card."""

from __future__ import annotations

from markdown_pieces import code, table

from benchmark.studies.protocols import ProtocolCard, list_protocols, published_rows

INTRODUCTION = """# Protocols

How others evaluated, and what they published. [Evaluation](../evaluation.md#published-numbers) says how a
protocol is run.
"""


def pages() -> dict[str, str]:
    """Address in the site -> Markdown."""
    cards = list_protocols()
    rows = [{"protocol": f"[`{card.name}`]({card.name}.md)", "title": card.title} for card in cards]
    index = f"{INTRODUCTION}\n{table(rows)}"
    return {"protocols/index.md": index} | {f"protocols/{card.name}.md": _page(card) for card in cards}


def _page(card: ProtocolCard) -> str:
    setting = {
        "data set": f"[`{card.dataset}`](../datasets.md#{card.dataset})",
        "split": f"`{card.split}`, seeds {', '.join(map(str, card.seeds))}",
        "predicted cells": card.cells,
        "scored genes": f"the {card.most_variable} that vary most" if card.most_variable else "all",
        "metrics": ", ".join(map(code, card.metrics)),
        "citation": card.citation,
    }
    return "\n\n".join(
        [
            f"# {card.name}",
            card.title + ".",
            card.notes,
            table([{"what": name, "declared": value} for name, value in setting.items()]),
            "## What must come out first\n",
            table([_sanity(value) for value in card.sanity]) or "Nothing is checked.",
            "## Published, not run here\n",
            _published(card),
        ]
    )


def _sanity(value) -> dict[str, object]:
    return {
        "quantity": code(value.quantity),
        "seed": "mean" if value.seed is None else value.seed,
        "expected": f"{value.expected:g}",
        "tolerance": f"{value.tolerance:.0%}",
        "source": value.source,
    }


def _published(card: ProtocolCard) -> str:
    lines = published_rows(card)
    rows = [
        {
            "method": line.method,
            "perturbations": line.group or "all",
            **{name: "" if value is None else f"{value:g}" for name, value in line.metrics.items()},
            "defined otherwise": ", ".join(f"{name} {value:g}" for name, value in line.other.items()),
            "from": line.published,
        }
        for line in lines
    ]
    return table(rows) or "Nothing was published."
