"""An index of small packages, and a method that needs two of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.hosting.environment import Environment
from tests.hosting.packages import CLASS, wheel


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder of wheels, the only place that pip takes packages from."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def packed(tmp_path, index) -> Environment:
    """A method that needs two packages, the second without what it declares to need."""
    folder = tmp_path / "packed with ümläuts"
    folder.mkdir()
    (folder / "packed.py").write_text(CLASS)
    (folder / "requirements.txt").write_text("# pinned\none==1.0\n")
    (folder / "requirements-no-deps.txt").write_text("two==1.0\n")
    wheel(index, "one")
    wheel(index, "two", needs="Requires-Dist: nowhere\n")
    return Environment("packed", folder)
