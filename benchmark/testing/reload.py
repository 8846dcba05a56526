"""The fresh process of a conformance check: load a saved method and answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from anndata import read_h5ad

from benchmark.perturbation import Perturbation
from benchmark.registry import load_method


def main(source: str, folder: Path) -> None:
    """Write the predictions of the method in `folder` beside it."""
    method = load_method(source).load(folder / "method")
    questions = [Perturbation.parse(label) for label in (folder / "questions.txt").read_text().split("\n")]
    answers = method.predict(read_h5ad(folder / "control.h5ad"), questions)
    named: dict[str, Any] = {str(index): cells.copy() for index, cells in enumerate(answers)}
    np.savez(folder / "answers.npz", **named)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
