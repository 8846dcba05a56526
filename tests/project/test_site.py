"""The documentation site builds without a warning, loads nothing from elsewhere and has what is declared."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmark.cli import app
from benchmark.data.cards import list_cards
from benchmark.evaluation.metrics import METRICS
from benchmark.registry import list_methods, load_method
from benchmark.studies.protocols import list_protocols

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """What the generators make: address -> Markdown."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "_site")
        import hook

        yield hook.generated_pages()
    for name in (
        "hook",
        "command_pages",
        "dataset_pages",
        "method_pages",
        "metric_pages",
        "protocol_pages",
        "markdown_pieces",
        "notebook_pages",
    ):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` builds it: strict, so that a warning is an error."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        patch.setenv("BENCHMARK_HOME", str(tmp_path_factory.mktemp("home")))
        patch.chdir(ROOT)
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def test_every_method_has_a_page_with_all_its_hyper_parameters_and_presets(pages):
    for listing in list_methods():
        page = pages[f"methods/{listing.name}.md"]
        config = load_method(listing.name).Config
        for name, field in config.model_fields.items():
            assert f"| `{name}` |" in page
            assert field.description.replace("|", "\\|").replace("<", "&lt;") in page
        for preset in config.presets:
            assert f"- `{preset}`: " in page


def test_every_metric_has_a_section(pages):
    for name, declared in METRICS.items():
        assert f"## {name} {{ #{name} }}" in pages[f"metrics/{declared.spec.family.lower()}.md"]


def test_every_command_has_a_section_with_its_options(pages):
    for command in app.registered_commands:
        assert f"\n## {command.name}\n" in pages["commands.md"]
    assert "## splits check" in pages["commands.md"]
    assert "--perturbation-column" in pages["commands.md"]


def test_every_data_set_has_a_section(pages):
    for card in list_cards():
        assert f"## {card.name} {{ #{card.name} }}" in pages["datasets.md"]


def test_every_published_row_is_on_the_page_of_its_protocol(pages):
    for card in list_protocols():
        page = pages[f"protocols/{card.name}.md"]
        for row in card.published:
            start = f"| {row.method} | {row.group or 'all'} |"
            numbers = [f" {value:g} " for name, value in row.metrics.items() if name in card.metrics]
            lines = [line for line in page.splitlines() if line.startswith(start)]
            assert any(all(number in line for number in numbers) for line in lines), row


def test_no_generated_page_is_committed(pages):
    assert [address for address in pages if (ROOT / "docs" / address).exists()] == []


def test_every_written_page_is_in_the_navigation(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs").glob("*.md")):
        assert f'href="{path.stem}.html"' in home, path


def test_nothing_is_loaded_from_another_host(site):
    loads = re.compile(
        r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+stylesheet[^>]+href="(?:https?:)?//'
    )
    for path in site.rglob("*.html"):
        assert not loads.search(path.read_text(encoding="utf-8")), path
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", path.read_text(encoding="utf-8")), (
            path
        )
