"""Pages that MkDocs gets beside the written ones: generated from declarations and cards, never committed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import command_pages
import dataset_pages
import method_pages
import metric_pages
import notebook_pages
import protocol_pages
import rooms
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
GENERATORS = (method_pages, metric_pages, dataset_pages, protocol_pages, notebook_pages, command_pages, rooms)


IN_THE_SITE = {
    "../methods/": "methods/index.md",
    "../datasets/": "datasets.md",
    "../benchmark/evaluation/metrics/": "metrics/index.md",
    "../leaderboard/protocols/": "protocols/index.md",
    "../benchmark/data/cards.py": "datasets.md#fields-of-a-card",
    "../benchmark/cli/": "commands.md",
    "notebooks/python_api.ipynb": "notebooks/python_api.md",
}
"""Where a link leads in the repository -> the page that is made from that for the site."""


def generated_pages() -> dict[str, str | bytes]:
    """Address in the site -> every generated page and its pictures, in the order of the navigation."""
    return {address: text for generator in GENERATORS for address, text in generator.pages().items()}


def carried_files() -> dict[str, Path]:
    """Address in the site -> file of the repository that the site carries as it is."""
    found = sorted((ROOT / "leaderboard").glob("*"))
    carried = {f"leaderboard/{path.name}": path for path in found if path.suffix in (".md", ".png")}
    return {**carried, **{name: ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")}}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace ``folder/*`` in the navigation with the generated pages of that folder."""
    config.nav = _filled(config.nav, list(generated_pages()))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated and what is carried."""
    for address, text in generated_pages().items():
        files.append(File.generated(config, address, content=text))
    for address, path in carried_files().items():
        files.append(File.generated(config, address, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Show the picture of the rooms, and mend links, which lead to other folders in the repository."""
    if "/" in page.file.src_uri:
        return markdown
    picture = f"![The rooms, and what each of them imports]({rooms.PICTURE})"
    markdown = markdown.replace("<!-- the picture of the rooms -->", picture)
    markdown = LINK.sub(lambda found: f"]({IN_THE_SITE.get(found[1], found[1])})", markdown)
    return re.sub(r"\]\((?:docs/|\.\./(?=leaderboard/|CONTRIBUTING|CHANGELOG))", "](", markdown)


def _filled(nav: Any, addresses: list[str]) -> Any:
    if isinstance(nav, dict):
        return {title: _filled(entry, addresses) for title, entry in nav.items()}
    if not isinstance(nav, list):
        return nav
    entries: list[Any] = []
    for entry in nav:
        if isinstance(entry, str) and entry.endswith("/*"):
            entries += [address for address in addresses if address.startswith(entry[:-1])]
        else:
            entries.append(_filled(entry, addresses))
    return entries
