"""Code blocks of the documents: found, taken apart, and run as a reader would run them."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import sys
import tomllib
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import typer

from benchmark.cli import app, main
from benchmark.data import load_dataset
from benchmark.registry import load_method

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TABLE = re.compile(r"^<!-- printed -->\n\n(?P<text>(?:\|[^\n]+\|\n)+)", re.MULTILINE)
"""A table whose numbers stand in what the commands before it print."""
SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)
BENCHMARK = ["python", "-m", "benchmark"]
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
PRINTED = "printed"
"""Title of a block that shows what the one before it prints; three dots stand for lines that are left out."""
NAMES = ("language", "title", "text", "reason")


@dataclass(frozen=True)
class Block:
    """One fenced block: where it is, what it holds, and why it is not run, where it is not."""

    line: int
    language: str
    title: str
    text: str
    reason: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        split = [shlex.split(line, comments=True) for line in lines]
        return [words for words in split if words]


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a document and tables that are printed, in order."""
    fenced = [
        Block(text.count("\n", 0, found.start("language")) + 1, *(found[name] or "" for name in NAMES))
        for found in FENCE.finditer(text)
    ]
    tables = [
        Block(text.count("\n", 0, found.start("text")) + 1, "table", PRINTED, found["text"], "")
        for found in TABLE.finditer(text)
    ]
    return sorted(fenced + tables, key=lambda block: block.line)


def check_command(words: list[str]) -> None:
    """Parse a command without running it: programs, files and targets exist, options are known."""
    if words[:3] == BENCHMARK:
        _parse(words[3:])
    elif words[0] == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), words
    elif words[:3] == ["python", "-m", "pytest"]:
        assert (ROOT / words[3]).is_file(), words
    elif words[0] == "python" and words[1].startswith("perf/"):
        assert (ROOT / words[1]).is_file(), words
    elif words[0] not in ("python", "export", "source"):
        assert (ROOT / words[0]).is_file(), f"nothing here says how '{' '.join(words)}' is run"


def _parse(arguments: list[str]) -> None:
    """Read the arguments as typer does, up to the call; names of methods and what is set are looked up."""
    command = typer.main.get_command(app)
    context = command.make_context("benchmark", list(arguments))
    while hasattr(command, "resolve_command") and (rest := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    given = context.params
    if given.get("method") and ("set_" in given or "preset" in given):
        settings = dict(pair.split("=", 1) for pair in given.get("set_") or [])
        load_method(given["method"]).Config.build(given.get("preset"), settings)


def require_lines(shown: str, printed: str) -> None:
    """Fail unless all lines that are shown are printed, in this order; numbers may differ by 2 %."""
    rest = iter(printed.splitlines())
    for line in filter(None, map(str.strip, shown.splitlines())):
        if line != "...":
            assert any(_alike(line, each.strip()) for each in rest), f"not printed, or not there: {line}"


def require_rows(table: str, printed: str) -> None:
    """Fail unless the numbers of each row of a Markdown table are printed beside the name in it, or below."""
    lines = printed.splitlines()
    for row in table.splitlines()[2:]:
        (name,) = re.findall(r"`(\w+)`", row)
        there = [index for index, line in enumerate(lines) if name in line.split()]
        assert any(
            _holds(NUMBER.findall(row), NUMBER.findall(" ".join(lines[index : index + 2]))) for index in there
        ), f"not printed, or not so: {row}"


def _holds(numbers: list[str], others: list[str]) -> bool:
    values = [float(other.replace(",", "")) for other in others]
    return all(
        any(float(number) == pytest.approx(value, rel=0.02, abs=1e-4) for value in values)
        for number in numbers
    )


def _alike(one: str, other: str) -> bool:
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    values = [(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs]
    return all(a == pytest.approx(b, rel=0.02, abs=1e-4) for a, b in values)


@dataclass
class Reader:
    """Somebody who does what a document says, in a folder that is also the home of what is made."""

    home: Path

    def __post_init__(self) -> None:
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.printed = ""
        for folder in ("docs", "tests"):
            (self.home / folder).symlink_to(ROOT / folder)

    def do(self, block: Block) -> None:
        """Write a block with a title to the file of that name; run it where it is for running."""
        with chdir(self.home):
            if block.title and block.title != PRINTED:
                path = Path(block.title)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            DO[block.language](self, block)

    def shell(self, block: Block) -> None:
        """Type each command, and keep what all of them print."""
        with redirect_stdout(StringIO()) as screen:
            for words in block.commands:
                check_command(words)
                self.type([os.path.expandvars(word) for word in words])
        self.printed = screen.getvalue()
        sys.stdout.write(self.printed)

    def type(self, words: list[str]) -> None:
        """Run one command in this process; `make` and activation are parsed alone."""
        if words[:3] == BENCHMARK:
            with pytest.raises(SystemExit) as stop:
                main(words[3:])
            assert not stop.value.code, f"exit code {stop.value.code}: {' '.join(words)}"
        elif words[0] == "export":
            name, _, value = words[1].partition("=")
            os.environ[name] = value
        elif words[0] == "python":
            runpy.run_path(words[1], run_name="__main__")

    def python(self, block: Block) -> None:
        """Run Python, with what earlier blocks of the document have named; titled ones are run by others."""
        if not block.title and not SNIPPET.search(block.text):
            exec(compile(block.text, f"line {block.line}", "exec"), self.names)

    def toml(self, block: Block) -> None:
        """Read a card: one of a data set is loaded by its name, so that its fields must be right."""
        tomllib.loads(block.text)
        if block.title.startswith("datasets/"):
            os.environ["BENCHMARK_DATA"] = str(self.home)
            load_dataset(Path(block.title).stem)

    def shown(self, block: Block) -> None:
        """What is said to be printed is, line by line; nothing is done with what is only shown."""
        if block.title == PRINTED:
            require_lines(block.text, self.printed)

    def table(self, block: Block) -> None:
        """The numbers of a table are those that were printed."""
        require_rows(block.text, self.printed)


DO = {
    "bash": Reader.shell,
    "python": Reader.python,
    "toml": Reader.toml,
    "text": Reader.shown,
    "table": Reader.table,
}
