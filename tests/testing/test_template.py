"""``new method`` writes a repository that is installed, found by its entry point, conforms and runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.testing import template
from benchmark.testing.template import write_repository

ROOT = Path(__file__).parents[2]


def python_of_its_own(folder: Path) -> Path:
    """An environment that sees what this one has, and into which something is installed beside it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    seen = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    (packages / "seen.pth").write_text("\n".join(seen) + "\n")
    return folder / "bin" / "python"


@pytest.mark.slow
def test_the_repository_is_installed_tested_and_run_as_its_readme_says(
    type_, store, simulated, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, _ = type_("new", "method", "my_method")
    assert code == 0
    assert "pip install -e my-method" in out
    python = python_of_its_own(tmp_path / "environment")

    def do(*words: object) -> str:
        done = subprocess.run([*map(str, words)], cwd=tmp_path / "my-method", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    alone = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check")
    do(sys.executable, "-m", "pip", "--python", python, "install", *alone, "-e", ".")
    assert " passed" in do(python, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    listed = json.loads(do(python, "-m", "benchmark", "methods", "--json"))
    assert [each["source"] for each in listed if each["name"] == "my_method"] == ["entry point"]
    record = json.loads(
        do(python, "-m", "benchmark", "run", "--method", "my_method", "--no-anchors", "--json")
    )
    assert record["coordinates"]["method"] == "my_method"


def test_every_place_has_its_name_and_no_word_is_left_open(tmp_path):
    files = write_repository("two_words", tmp_path / "repository")
    assert [path.relative_to(tmp_path / "repository").as_posix() for path in files] == [
        "README.md",
        "pyproject.toml",
        ".gitignore",
        "src/two_words/__init__.py",
        "tests/test_two_words.py",
    ]
    texts = [path.read_text() for path in files]
    assert not any("$" in text for text in texts)
    assert 'two_words = "two_words:TwoWords"' in texts[1]
    assert "class TwoWords(Method):" in texts[3]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("MyMethod", "small letters, digits and single underscores, as my_method, not 'MyMethod'"),
        ("my-method", "not 'my-method'"),
        ("lambda", "not 'lambda'"),
        ("additive", "There is a method 'additive' already"),
        ("numpy", "There is a package 'numpy' already"),
    ],
)
def test_a_name_that_would_not_do_is_refused_and_nothing_is_written(tmp_path, name, sentence):
    with pytest.raises(BenchmarkError, match=sentence):
        write_repository(name, tmp_path / "repository")
    assert list(tmp_path.glob("repository*")) == []


def test_what_is_there_is_left_as_it_is(type_, tmp_path):
    (tmp_path / "mine").mkdir()
    code, _, err = type_("new", "method", "my_method", "--output", tmp_path / "mine")
    assert (code, "is there already; choose another place" in err) == (2, True)
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def write_text(path, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(template.Path, "write_text", write_text)
    with pytest.raises(BenchmarkError, match=r"could not be written \(No space left on device\)"):
        write_repository("my_method", tmp_path / "repository")
    monkeypatch.undo()
    assert not any("repository" in path.name for path in tmp_path.iterdir())
