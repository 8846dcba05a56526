"""The rooms of the harness are as `docs/architecture.md` has them, and imports lead down."""

from __future__ import annotations

import graphlib
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENTRY = {"__init__", "__main__"}
ENDINGS = re.compile(r"(?:ations?|ings?|ions?|ers?|ors?|ed|es|e|s|y)$")


@pytest.fixture(scope="module")
def rooms():
    """What the documentation reads the rooms with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "_site")
        import rooms

        yield rooms
        sys.modules.pop("rooms")


def test_every_room_stands_in_the_table_once(rooms):
    listed = [name for names in rooms.table() for name in names]
    there = {path.stem for path in (ROOT / "benchmark").iterdir() if path.name != "__pycache__"} - ENTRY
    assert sorted(listed) == sorted(there)


def test_a_room_imports_only_rooms_below_it(rooms):
    rank = {name: number for number, names in enumerate(rooms.table()) for name in names}
    contract = {name for names in rooms.table() if len(names) > 2 for name in names}
    up = [
        f"{one} -> {two}"
        for one, two in rooms.arrows()
        if one not in ENTRY and not rank[one] < rank[two] and not {one, two} <= contract
    ]
    assert up == []


def test_nothing_imports_in_a_circle(rooms):
    """Not even what is imported for type checkers, or inside a function."""
    known = rooms.modules()
    graph = {name: rooms.imported(path, known) - {name} for name, path in known.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_two_names_in_a_folder_differ_by_an_ending_only():
    alike = defaultdict(set)
    for path in (ROOT / "benchmark").rglob("*"):
        if (path.suffix == ".py" or path.is_dir()) and not path.name.startswith("_"):
            *words, last = path.stem.split("_")
            alike[path.parent, *words, ENDINGS.sub("", last)].add(path.stem)
    assert {names for names in map(frozenset, alike.values()) if len(names) > 1} == set()


def test_tests_mirror_the_rooms(rooms):
    folders = {
        path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    listed = {name for names in rooms.table() if len(names) <= 2 for name in names}
    packages = {name for name in listed if (ROOT / "benchmark" / name).is_dir()}
    assert folders == packages | {"contract", "methods", "project"}


def test_the_picture_shows_every_row_and_no_arrow_that_leads_up(rooms):
    drawn = rooms.picture()
    assert drawn.count("<rect") == len(rooms.table())
    assert "#d55e00" not in drawn
    assert drawn.count("<path") > len(rooms.table())
