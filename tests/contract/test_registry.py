"""Methods are found by name, in files and in packages, without importing what is not asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from benchmark import registry
from benchmark.errors import BenchmarkError
from benchmark.registry import list_methods, load_method
from methods.additive import Additive

MINE = '''
"""My method."""
from methods.train_mean import TrainMean

class Mine(TrainMean):
    """Mine."""
    name = "mine"

class Abstract(TrainMean):
    from abc import abstractmethod
    @abstractmethod
    def more(self): ...

class NotAMethod:
    pass
'''


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_every_listed_method_loads_under_its_own_name():
    for listing in list_methods():
        assert load_method(listing.name).name == listing.name
        assert listing.summary.endswith(".")


def test_listing_methods_imports_neither_torch_nor_the_methods():
    code = (
        "import sys; from benchmark.registry import list_methods; list_methods(); "
        "print([m for m in ('torch', 'anndata', 'methods.additive') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_comes_without_torch_anndata_or_mlflow():
    code = (
        "import sys\nfrom benchmark.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'anndata', 'mlflow', 'pandas', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("[]")


def test_a_misspelt_name_gets_the_closest_one():
    with pytest.raises(BenchmarkError, match="There is no method 'aditive'; did you mean 'additive'"):
        load_method("aditive")


def test_a_class_in_a_file_is_a_method(mine):
    assert load_method(f"{mine}:Mine").name == "mine"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Main", "did you mean 'Mine'"),
        ("NotAMethod", "is not a method"),
        ("Abstract", "does not define more"),
    ],
)
def test_what_is_no_method_is_refused(mine, name, sentence):
    with pytest.raises(BenchmarkError, match=sentence):
        load_method(f"{mine}:{name}")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match=r"There is no file .*gone\.py"):
        load_method(f"{tmp_path}/gone.py:Mine")


def test_packages_offer_methods_through_entry_points(monkeypatch):
    point = EntryPoint("theirs", "methods.additive:Additive", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert load_method("theirs") is Additive
    assert "theirs" in [listing.name for listing in list_methods()]
