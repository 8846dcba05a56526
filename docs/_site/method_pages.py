"""A page for every method, from its class, its declared hyper-parameters and the committed board."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from pathlib import Path

from markdown_pieces import code, table

from benchmark.hosting.environment import REQUIREMENTS
from benchmark.machine.paths import packaged_data
from benchmark.method import Method
from benchmark.registry import Listing, list_methods, load_method

GENES, PERTURBED = 1000, 100
"""Of the panel that parameters are counted for."""

PREDICTS = {
    "cells": "cells, which vary as real ones should",
    "mean": "means; its cells vary as the control cells do",
}
CITATIONS = tomllib.loads(Path(__file__).with_name("citations.toml").read_text(encoding="utf-8"))


def pages() -> dict[str, str]:
    """Address in the site -> Markdown."""
    methods = [found for found in list_methods() if found.source.startswith("methods/")]
    return {"methods/index.md": _index(methods)} | {
        f"methods/{each.name}.md": _page(each) for each in methods
    }


def _index(methods: list[Listing]) -> str:
    rows = [{"method": f"[`{each.name}`]({each.name}.md)", "what it is": each.summary} for each in methods]
    return (
        "# Methods\n\nEach page is made from the method's own declarations. "
        "`python -m benchmark methods NAME` prints the same.\n\n" + table(rows)
    )


def _page(listing: Listing) -> str:
    method = load_method(listing.name)
    return "\n\n".join(
        [
            f"# {listing.name}",
            listing.summary,
            f"```bash\npython -m benchmark run --method {listing.name}\n```",
            _description(method),
            f"**Predicts** {PREDICTS[method.predicts]}. **Version** {method.version}.",
            f"**Source** `{listing.source}`.",
            f"**Cite** {CITATIONS.get(listing.name, 'this project')}.",
            _hyper_parameters(method),
            _presets(method),
            _resources(method, listing),
        ]
    )


def _description(method: type[Method]) -> str:
    """The docstring of the class, without the sections for programmers."""
    text = re.split(r"\n\w[\w ]*\n-{3,}\n", inspect.cleandoc(method.__doc__ or ""))[0]
    return text.replace("``", "`")


def _hyper_parameters(method: type[Method]) -> str:
    rows = [
        {
            "name": code(row["name"]),
            "default": code(row["value"]),
            "type": row["type"],
            "bounds": row["bounds"],
            "tuned in": row["search"],
            "what it does": row["help"],
        }
        for row in method.Config.describe()
    ]
    return f"## Hyper-parameters\n\n{table(rows)}" if rows else "## Hyper-parameters\n\nNone."


def _presets(method: type[Method]) -> str:
    presets = method.Config.presets
    if not presets:
        return "## Presets\n\nOnly the default."
    lines = [
        f"- `{name}`: " + (", ".join(f"`{key}={value}`" for key, value in values.items()) or "the default")
        for name, values in presets.items()
    ]
    return "## Presets\n\nWhat each changes of the default:\n\n" + "\n".join(lines)


def _resources(method: type[Method], listing: Listing) -> str:
    parts = ["## Resources"]
    if listing.folder is not None and (listing.folder / REQUIREMENTS).is_file():
        parts.append(
            "It runs in an environment of its own (2 GB and more, which methods with the same requirements "
            "share), "
            f"made by `python -m benchmark install {listing.name}` from pinned requirements. "
            f"**Licence** of the package: {method.licence}."
        )
    counts = {
        name: method.parameter_count(method.Config.build(name), GENES, PERTURBED)
        for name in ["default", *method.Config.presets]
    }
    known = [
        {"preset": name, "trainable parameters": f"{n:,}"} for name, n in counts.items() if n is not None
    ]
    if known:
        parts.append(f"For {GENES:,} genes of which {PERTURBED} are perturbed:\n\n{table(known)}")
    runs = [row for row in _board() if row["method"] == listing.name]
    if runs:
        parts.append("On the committed [board](../leaderboard/README.md), seconds of a whole run on a CPU:\n")
        parts.append(table([_run(row) for row in runs]))
    return "\n\n".join(parts)


def _run(row: dict) -> dict[str, object]:
    return {
        "data set": row["dataset"],
        "split": row["split"],
        "configuration": row["configuration"],
        "seeds": row["seeds"],
        "rank": row["rank"],
        "seconds": f"{row['seconds']:.1f}",
    }


def _board() -> list[dict]:
    path = packaged_data() / "leaderboard" / "results.json"
    return json.loads(path.read_text(encoding="utf-8"))
