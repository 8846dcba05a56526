"""A package driven by hand, beside the harness: what both are given, and what each answers."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from benchmark.hosting.method import SubprocessMethod
from benchmark.machine.processes import threads
from benchmark.perturbation import Perturbation
from benchmark.testing.case import tiny_panel

PANEL = tiny_panel(0, 40)
ASKED = [*PANEL.questions, Perturbation.parse(PANEL.split.train[0])]
SEED = 5


def by_hand(method: type[SubprocessMethod], **task: Any) -> np.ndarray:
    """Have ``NAME_by_hand.py`` train and predict in the method's environment; returns means, (asked, genes).

    The script reads ``train.h5ad``, ``validation.h5ad`` and ``control.h5ad`` (X dense, log1p CP10K; obs
    "perturbation") and ``task.json``, and writes ``answers.npy``.
    """
    script = Path(__file__).with_name(f"{method.name}_by_hand.py")
    train, validation = PANEL.views
    asked = [str(each) for each in ASKED]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, cells in (("train", train), ("validation", validation), ("control", PANEL.control)):
            names = [f"{part}{row}" for row in range(cells.n_obs)]
            obs = pd.DataFrame({"perturbation": list(cells.obs["perturbation"])}, index=names)
            var = pd.DataFrame(index=list(cells.var_names))
            AnnData(cells.X.toarray(), obs=obs, var=var).write_h5ad(folder / f"{part}.h5ad")
        about = {"seed": SEED, "threads": threads(), "ask": asked, **task}
        (folder / "task.json").write_text(json.dumps(about))
        done = subprocess.run(
            [method.environment().python, "-I", script, folder], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return np.load(folder / "answers.npy")


def through_harness(method: type[SubprocessMethod], **settings: Any) -> np.ndarray:
    """Means that the hosted method predicts, (asked, genes)."""
    hosted = method(method.Config.build("smoke", settings), seed=SEED, device="cpu").fit(*PANEL.views)
    answers = hosted.predict(PANEL.control, ASKED)
    return np.stack([cells.mean(axis=0, dtype=np.float64) for cells in answers])


def require_parity(answers: np.ndarray, official: np.ndarray) -> None:
    """The same means within 1e-4, of perturbations that do something, and not all the same."""
    start = PANEL.control.X.toarray().mean(axis=0, dtype=np.float64)
    assert np.abs(official - start).max() > 0.1
    assert np.ptp(official, axis=0).max() > 1e-2
    np.testing.assert_allclose(answers, official, atol=1e-4)
