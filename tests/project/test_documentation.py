"""Every code block of the documents runs, or says why it does not and is at least read as it would be."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from benchmark.data import load_dataset
from tests.project.documentation_case import (
    DO,
    DOCUMENTS,
    ROOT,
    SNIPPET,
    Reader,
    blocks,
    check_command,
    require_lines,
    require_rows,
)

WITH_BLOCKS = [path for path in DOCUMENTS if blocks(path.read_text(encoding="utf-8"))]


READ_AS_FILES = [*DOCUMENTS, ROOT / "CHANGELOG.md", *sorted((ROOT / "leaderboard").glob("*.md"))]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A cache with the prepared cells of `simulated`, which all documents use."""
    home = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHMARK_HOME", str(home))
        load_dataset("simulated")
    return home / "datasets" / "cache"


@pytest.fixture
def reader(store, prepared, home, monkeypatch) -> Reader:
    """A reader with an empty home."""
    (home / "datasets").mkdir()
    shutil.copytree(prepared, home / "datasets" / "cache", copy_function=os.link)
    monkeypatch.setenv("PWD", str(home))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("BENCHMARK_DATA", os.environ.get("BENCHMARK_DATA", ""))
    return Reader(home)


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_BLOCKS, ids=lambda path: path.name)
def test_a_reader_can_do_what_a_document_says(path, reader):
    if "$BENCHMARK_DATA" in path.read_text(encoding="utf-8") and not os.environ["BENCHMARK_DATA"]:
        pytest.skip("the real data are not on this machine")
    for block in blocks(path.read_text(encoding="utf-8")):
        if not block.reason:
            print(f"{path.name}, line {block.line}")
            reader.do(block)


@pytest.mark.parametrize("path", WITH_BLOCKS, ids=lambda path: path.name)
def test_what_is_not_run_is_still_a_command_that_exists(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language == "bash" and block.reason:
            for words in block.commands:
                check_command(words)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_says_what_it_holds(path):
    text = path.read_text(encoding="utf-8")
    found = [block for block in blocks(text) if block.language != "table"]
    assert len(found) * 2 == sum(line.lstrip().startswith("```") for line in text.splitlines())
    assert all(block.language in DO for block in found)
    assert not [line for line in text.splitlines() if line.startswith("    python -m ")]


def test_files_that_documents_show_exist():
    shown = [name for path in DOCUMENTS for name in SNIPPET.findall(path.read_text(encoding="utf-8"))]
    assert shown
    assert [name for name in shown if not (ROOT / name).is_file()] == []


def test_output_that_is_shown_has_to_be_printed():
    printed = "run 1 of 3\nmse 0.1250 | 4\nsound\n"
    require_lines("run 1 of 3\n...\n  mse 0.1251 | 4\n", printed)
    for shown in ("mse 0.1300 | 4", "mse 0.1250 | 5", "sound\nmse 0.1250 | 4", "sounds"):
        with pytest.raises(AssertionError, match="not printed, or not there"):
            require_lines(shown, printed)


def test_numbers_of_a_table_that_is_said_to_be_printed_have_to_be():
    table = (
        "<!-- printed -->\n\n| rank | method | MSE |\n|---|---|---|\n| 1 | `a` | 0.0037 [0.0015, 0.0065] |\n"
    )
    (block,) = blocks(f"# A document\n\n{table}\nWords.\n")
    assert (block.language, block.line) == ("table", 5)
    printed = "rank method mse\n   1 a      0.00371\n [0.0015, 0.0065]\n   2 b 0.005\n"
    require_rows(block.text, printed)
    for other in (printed.replace("15", "16"), printed.replace("1 a", "2 a"), printed.replace(" a ", " c ")):
        with pytest.raises(AssertionError, match="not printed, or not so"):
            require_rows(block.text, other)


def anchors(text: str) -> set[str]:
    """Where a link into a document may lead, as its headings are called there."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", READ_AS_FILES, ids=lambda path: path.name)
def test_every_link_leads_somewhere_without_the_site(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if not link.startswith(("http:", "https:")):
            file, _, anchor = link.partition("#")
            target = path.parent / file if file else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize(
    "command",
    [
        ["python", "-m", "benchmark", "run", "--metod", "additive"],
        ["python", "-m", "benchmark", "run", "--method", "linear", "--set", "rnak=3"],
        ["python", "-m", "benchmark", "run", "--method", "aditive", "--preset", "small"],
        ["python", "-m", "benchmark", "splits", "mak"],
        ["python", "-m", "benchmark", "rum"],
        ["make", "dmeo"],
        ["curl", "example.org"],
    ],
    ids=" ".join,
)
def test_a_command_that_has_rotted_is_noticed(command):
    with pytest.raises(Exception, match=r"rnak|metod|aditive|mak|rum|dmeo|curl"):
        check_command(command)
