"""An environment is installed once, by whichever installer is at hand, and the command says so."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmark.hosting.installing import install
from benchmark.machine.progress import report_to
from tests.hosting.packages import left, versions, wheel


@pytest.mark.slow
def test_requirements_are_installed_once_and_those_of_the_second_file_alone(packed):
    assert packed.python is None
    assert install(packed)
    assert versions(packed) == "1.0 1.0"
    assert not install(packed)


@pytest.mark.slow
def test_other_requirements_are_another_environment(packed, index):
    install(packed)
    wheel(index, "one", "2.0")
    (packed.folder / "requirements.txt").write_text("one==2.0\n")
    assert packed.python is None
    install(packed)
    assert versions(packed) == "2.0 1.0"


@pytest.mark.slow
def test_force_makes_it_anew_and_leaves_one(packed):
    install(packed)
    first = packed.python
    assert install(packed, force=True)
    assert packed.python != first
    assert not first.exists()
    assert len(left()) == 4  # the packages, a link to them, the environment on top and what points to it
    assert versions(packed) == "1.0 1.0"


UV = """#!/bin/sh
echo "$@" >> {told}
{what}
"""


def at_hand(folder: Path, monkeypatch, what: str) -> Path:
    """Put a stand-in for uv on the path; returns the file where it writes what it was told."""
    told = folder / "told"
    folder.mkdir()
    (folder / "uv").write_text(UV.format(told=told, what=what))
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return told


@pytest.mark.slow
def test_uv_installs_where_it_is_at_hand(packed, tmp_path, monkeypatch):
    pip = f'shift 2; shift 2; exec "{sys.executable}" -m pip --python "$python" install "$@"'
    told = at_hand(tmp_path / "bin", monkeypatch, f'python="$4"\n{pip}')
    install(packed)
    assert versions(packed) == "1.0 1.0"
    lines = told.read_text().splitlines()
    assert [line.startswith("pip install --python ") for line in lines] == [True, True]
    assert "--no-deps" in lines[1]


@pytest.mark.slow
def test_pip_installs_where_uv_cannot(packed, tmp_path, monkeypatch, caplog):
    at_hand(tmp_path / "bin", monkeypatch, "echo no such index; exit 1")
    install(packed)
    assert versions(packed) == "1.0 1.0"
    assert any("uv cannot install what packed needs, so pip does" in line for line in caplog.messages)


@pytest.mark.slow
def test_progress_counts_packages(packed):
    class Bars:
        def __init__(self):
            self.stages = []

        def stage(self, name, total):
            from contextlib import nullcontext

            self.stages.append([name, total, 0])
            return nullcontext(self)

        def advance(self, steps=1, **values):
            self.stages[-1][2] += steps

    bars = Bars()
    with report_to(bars):
        install(packed)
    assert bars.stages == [["install packed", 3, 3]]


@pytest.mark.slow
def test_the_command_installs_and_the_list_says_so(type_, packed):
    method = f"{packed.folder / 'packed.py'}:Packed"
    code, out, _ = type_("install", method)
    assert code == 0
    assert out == f"{method} is installed: {packed.python}\n"
    assert "was installed already" in type_("install", method)[1]
    (listed,) = json.loads(type_("install", "--list", "--json")[1])
    assert listed["used by"] == "packed"
    rows = {row["name"]: row["ready"] for row in json.loads(type_("methods", "--json")[1])}
    assert rows["additive"] == "yes"
    assert rows["gears"] == "`python -m benchmark install gears`"


@pytest.mark.slow
def test_the_licence_of_a_package_is_said_before_it_is_installed(type_, index):
    """There is nothing to install from here; what was said is said by then."""
    code, out, err = type_("install", "state")
    assert code == 2
    assert out.startswith("Licence: arc-state 0.11.1: CC BY-NC-SA 4.0, for non-commercial use only")
    assert "could not be installed" in err


def test_an_installation_needs_a_name_and_what_is_not_there_frees_nothing(type_):
    code, _, err = type_("install")
    assert (code, err) == (2, "Error: Name a method to install; `python -m benchmark methods` lists them.\n")
    assert type_("uninstall", "gears")[:2] == (0, "gears is not installed; 0 MiB are free again.\n")
    assert type_("install", "--list", "--json")[:2] == (0, "[]\n")


def test_a_method_without_an_environment_of_its_own_is_not_installed(type_):
    code, _, err = type_("install", "additive")
    assert (code, err) == (
        2,
        "Error: The method 'additive' needs no environment of its own; run it as it is.\n",
    )
