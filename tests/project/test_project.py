"""The shape of the project holds: one direction, no shadowed packages, documents that tell the truth."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

import benchmark
from benchmark.cli import app
from benchmark.data.cards import list_cards
from benchmark.registry import list_methods

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "datasets" / "cache"

PLUG_IN_POINT = {
    "config",
    "contexts",
    "data.blocks",
    "data.priors",
    "errors",
    "hosting",
    "machine",
    "means",
    "method",
    "perturbation",
}
"""What methods may import of the harness."""
KNOWS_THE_TRUTH = {"methods/_grnflow/oracle.py": {"data.cards", "data.simulator"}}
"""The one exception: a positive control, which looks up what a simulator knows."""
FOR_BARE_GPU_IMAGES = {"numpy", "scipy", "torch", "torchdiffeq"}
LAZY_THERE = {"ot", "transformers"}


def imports(path: Path, top_only: bool = False) -> set[str]:
    """Every module that a file imports; those for type checkers alone do not count."""
    tree = ast.parse(path.read_text())
    guarded = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    nodes = tree.body if top_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if node in guarded:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "methods").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_methods_see_nothing_of_the_harness_but_the_plug_in_point(path):
    used = {name.removeprefix("benchmark.") for name in imports(path) if name.startswith("benchmark.")}
    more = KNOWS_THE_TRUTH.get(path.relative_to(ROOT).as_posix(), set())
    allowed = tuple(f"{name}." for name in PLUG_IN_POINT | more)
    assert {name for name in used if not f"{name}.".startswith(allowed)} == set()


@pytest.mark.parametrize("folder", ["_flow", "_grn"])
def test_flows_and_features_run_on_a_bare_gpu_image(folder):
    for path in (ROOT / "methods" / folder).rglob("*.py"):
        outside = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)
        assert outside <= FOR_BARE_GPU_IMAGES | LAZY_THERE | {"methods"}, path
        at_the_top = {name.split(".")[0] for name in imports(path, top_only=True)}
        assert not at_the_top & LAZY_THERE, path
        inside = {name for name in imports(path) if name.startswith("methods.")}
        assert all(name.startswith(("methods._flow.", "methods._grn.")) for name in inside), path


@pytest.mark.parametrize("folder", ["datasets", "splits", "leaderboard"])
def test_data_folders_are_no_packages(folder):
    """A regular package named `datasets` would hide the one of Hugging Face."""
    assert [path for path in (ROOT / folder).rglob("__init__.py") if CACHE not in path.parents] == []


def test_the_version_is_declared_once_and_alike():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert declared == benchmark.__version__ == importlib.metadata.version("perturbation-benchmark")


def test_the_documents_name_every_command_method_and_data_set():
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "".join(path.read_text(encoding="utf-8") for path in documents)
    commands = [command.name for command in app.registered_commands]
    for name in [*commands, *(group.name for group in app.registered_groups)]:
        assert f"python -m benchmark {name}" in text
    for listing in list_methods():
        assert f"`{listing.name}`" in text
    for card in list_cards():
        assert f"`{card.name}`" in text


def test_the_readme_begins_with_the_two_commands():
    block = re.search(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert [line.split("#")[0].strip() for line in block[1].splitlines()] == ["make demo", "make test"]


def test_the_committed_sources_name_no_machine():
    """Paths of a developer's machine would be of no use to anybody else."""
    pattern = re.compile(r"/(?:home|root|work|Users)/\w")
    texts = [path for kind in ("md", "toml", "txt") for path in ROOT.glob(f"*.{kind}")]
    for folder in ("benchmark", "methods", "tests", "perf", "datasets", "leaderboard", "docs"):
        texts += [path for kind in ("py", "md", "toml") for path in (ROOT / folder).rglob(f"*.{kind}")]
    for path in texts:
        if CACHE in path.parents:
            continue
        assert not pattern.search(path.read_text(encoding="utf-8")), path
