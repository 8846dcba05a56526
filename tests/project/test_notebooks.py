"""The notebooks run from top to bottom, and give what is committed with them."""

from __future__ import annotations

import copy
import re
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pytest

from tests.project.documentation_case import ROOT

FOLDER = ROOT / "docs" / "notebooks"
NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.fixture
def execute(monkeypatch, tmp_path_factory):
    """What writes them, as a module."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import execute
    return execute


def outputs(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Kind and text of every output."""
    return [
        (output.output_type, output.get("text") or output.data["text/plain"])
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_gives_what_is_committed_with_it(path, execute, tmp_path):
    committed = nbformat.read(path, as_version=4)
    fresh = execute.executed(copy.deepcopy(committed), tmp_path)
    assert [kind for kind, _ in outputs(fresh)] == [kind for kind, _ in outputs(committed)]
    for (_, old), (_, new) in zip(outputs(committed), outputs(fresh), strict=True):
        assert NUMBER.sub("#", new) == NUMBER.sub("#", old)
        numbers = [[float(number) for number in NUMBER.findall(text)] for text in (new, old)]
        np.testing.assert_allclose(*numbers, rtol=0.01, atol=0.002)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_small_and_names_no_machine(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 200_000
    assert not re.search(r"/(?:home|root|work|tmp|Users)/\w", text)
    assert '"stderr"' not in text
