"""Run the notebooks of this folder in place, in an empty home: `python docs/notebooks/execute.py`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def executed(notebook: nbformat.NotebookNode, home: Path) -> nbformat.NotebookNode:
    """Run a notebook from its first cell, with `home` as BENCHMARK_HOME; what differs by machine goes."""
    environment = {**os.environ, "BENCHMARK_HOME": str(home)}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(env=environment, cwd=str(home))
    for cell in notebook.cells:
        cell.metadata.clear()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    return notebook


def main() -> None:
    """Run all, and write them back."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as home:
            nbformat.write(executed(nbformat.read(path, as_version=4), Path(home)), path)


if __name__ == "__main__":
    main()
