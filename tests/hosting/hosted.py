"""Hosted methods in tests: the installed ones of this checkout, and a small one with an installed Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmark.hosting.environment import Environment
from benchmark.hosting.method import SubprocessMethod
from benchmark.machine.paths import cache_folder
from benchmark.registry import load_method

REPOSITORY = Path(__file__).parents[2]

METHOD = '''"""A shift to the training mean, by a worker that can be told to fail."""

from typing import Literal

import numpy as np

from benchmark.config import parameter
from benchmark.hosting.method import HostedConfig, SubprocessMethod
from benchmark.means import MovableCells


class HostedMeanConfig(HostedConfig):
    trouble: str = parameter("", help="What goes wrong.")
    step: str = parameter("fit", help="In which step.")


class HostedMean(SubprocessMethod):
    name = "hosted_mean"
    predicts = "mean"
    Config = HostedMeanConfig

    def about(self, train, validation):
        return {"genes": train.n_vars}

    def finish(self, cells, answer):
        return MovableCells(cells).to(answer).astype(np.float32)
'''

WORKER = '''"""Means of training cells, and every trouble that a worker can have."""

import os
import shutil
import subprocess
import sys
import time

import numpy as np
from launch import Refusal

TROUBLES = {
    "killed": lambda job: os.kill(os.getpid(), 9),
    "exits": lambda job: os._exit(3),
    "raises": lambda job: 1 / 0,
    "refuses": lambda job: refuse(),
    "hangs": lambda job: hang(),
    "full": lambda job: full(),
    "deleted": lambda job: shutil.rmtree(job.folder),
}


def refuse():
    raise Refusal("The cells are of no use; bring others.")


def hang():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    place = os.environ["HOSTED_PIDS"]
    with open(place + ".part", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.replace(place + ".part", place)
    time.sleep(3600)


def full():
    raise OSError(28, "No space left on device")


def trouble(job, step):
    print("about to", step)
    if job.config["step"] == step and job.config["trouble"] in TROUBLES:
        TROUBLES[job.config["trouble"]](job)


def fit(job):
    train = job.cells("train")
    assert job.about == {"genes": train.n_vars}
    assert train.obs["perturbation"].map(type).eq(str).all()
    perturbed = (train.obs["perturbation"] != "control").to_numpy()
    with job.stage("learn", 2) as progress:
        progress.advance(loss=0.5)
        trouble(job, "fit")
        print("told to use", job.threads, "threads, its libraries", os.environ["OMP_NUM_THREADS"])
        mean = np.asarray(train.X[perturbed].mean(axis=0)).ravel()
        progress.advance(loss=0.25)
    noise = np.random.default_rng(job.seed).normal(0, 1e-3, mean.shape)
    job.save_model(mean=np.maximum(mean + noise, 0))


def predict(job):
    trouble(job, "predict")
    mean = job.model()["mean"]
    for index, genes in enumerate(job.perturbations):
        values = mean.copy()
        if job.config["trouble"] == "nan":
            values[0] = np.nan
        if job.config["trouble"] == "short":
            values = values[1:]
        if job.config["trouble"] != "few" or index == 0:
            job.answer(index, values)
'''


def needs(name: str) -> None:
    """Skip where a hosted method is not installed in this checkout; else lend its environment to the test."""
    link = cache_folder("environments")
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(REPOSITORY / "datasets" / "cache" / "environments")
    method = load_method(name)
    if issubclass(method, SubprocessMethod) and method.environment().python is None:
        pytest.skip(f"needs `{method.environment().command}`")


def write_hosted(folder: Path) -> str:
    """Write the small hosted method into a folder; returns how it is named on the command line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosted_mean.py").write_text(METHOD)
    (folder / "worker.py").write_text(WORKER)
    (folder / "requirements.txt").write_text("# nothing: the Python of the tests has all of it\n")
    pretend_installed(Environment("hosted_mean", folder))
    return f"{folder / 'hosted_mean.py'}:HostedMean"


def pretend_installed(environment: Environment) -> None:
    """Have the Python that runs the tests stand for an installed environment."""
    python = environment.pointer.parent / "stand-in" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    environment.pointer.write_text(json.dumps({"folder": "stand-in"}))
