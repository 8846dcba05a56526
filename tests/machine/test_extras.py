"""Which packages an extra gives is declared once; what is missing is named with the extra that adds it."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.machine import extras
from benchmark.registry import load_method, missing_extras

ROOT = Path(__file__).parents[2]
DECLARED = [
    "numpy>=2",
    "typer>=0.29",
    'POT>=0.9; extra == "flows"',
    'torch>=2.6; extra == "flows"',
    'ray<3; extra == "ray"',
    'torch; extra == "devices"',
    'paint; extra == "of another version"',
]
VERSIONS = {"numpy": "2.4.1", "typer": "0.27.0"}


@pytest.fixture
def lean(monkeypatch):
    """An installation of the core alone, in which one package is too old."""

    def version(name):
        if name not in VERSIONS:
            raise PackageNotFoundError(name)
        return VERSIONS[name]

    monkeypatch.setattr("importlib.metadata.requires", lambda _: DECLARED)
    monkeypatch.setattr("importlib.metadata.version", version)


def test_what_each_extra_gives_is_said_and_a_checkout_installs_all():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert list(project["optional-dependencies"]) == list(extras.GIVES)
    (installed,) = re.findall(r"^EXTRAS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert installed.split(",") == list(extras.GIVES)


def test_every_requirement_is_constrained():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        each for group in project["optional-dependencies"].values() for each in group
    ]
    pinned = [line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    assert {re.match(r"[\w-]+", each)[0].lower() for each in wanted} - set(pinned) == set()


def test_packages_are_told_by_extra_and_by_whether_their_version_fits(lean):
    found = extras.packages()
    assert list(found) == [extras.CORE, "flows", "devices", "ray"]
    assert [(each.name, each.found, each.fits) for each in found[extras.CORE]] == [
        ("numpy", "2.4.1", True),
        ("typer", "0.27.0", False),
    ]
    assert [(each.name, each.wanted, each.found) for each in found["flows"]] == [
        ("POT", ">=0.9", None),
        ("torch", ">=2.6", None),
    ]


def test_a_missing_module_belongs_to_the_first_extra_that_gives_it(lean):
    assert extras.lacking() == {"ot": "flows", "torch": "flows", "ray": "ray"}


def test_a_module_that_an_extra_gives_is_named_with_it_and_any_other_as_it_is(lean):
    sentence = r"^The package ot is needed .* `pip install 'perturbation-benchmark\[flows\]'` adds it\.$"
    with pytest.raises(BenchmarkError, match=sentence), extras.named_where_missing():
        raise ModuleNotFoundError("No module named 'ot.lp'", name="ot.lp")
    with pytest.raises(ModuleNotFoundError, match="paint"), extras.named_where_missing():
        raise ModuleNotFoundError("No module named 'paint'", name="paint")


def test_an_extra_can_be_required(lean, monkeypatch):
    with pytest.raises(BenchmarkError, match=r"package ray .*\[ray\]'` adds it"):
        extras.require_extra("ray")
    monkeypatch.setitem(VERSIONS, "ray", "2.60.0")
    extras.require_extra("ray")


def test_methods_that_cannot_be_imported_are_known_without_importing_them(lean):
    """Those that import PyTorch, themselves or by what they share, and no others."""
    lacks = missing_extras()
    assert set(lacks.values()) == {"flows"}
    assert {"gated", "scdfm", "geneformer", "grnflow_sparse_pca", "grnflow_prior"} <= lacks.keys()
    assert {"additive", "main_effects", "saturation", "boosted", "nearest", "gears"}.isdisjoint(lacks)


def test_a_method_without_its_package_is_one_sentence(lean, monkeypatch):
    def importing(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("benchmark.registry.importlib.import_module", importing)
    with pytest.raises(BenchmarkError, match=r"torch is needed for this, and not installed; `pip install"):
        load_method("scdfm")


def test_a_package_that_was_never_installed_declares_nothing(monkeypatch):
    def requires(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", requires)
    with pytest.raises(BenchmarkError, match=r"runs from a folder and is not installed.*`make setup`"):
        extras.packages()
    assert extras.lacking() == {}
