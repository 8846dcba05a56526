"""A small order experiment: data with a card, a method with orders that fails when told to, one without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.data import Dataset
from benchmark.records.record import Record
from benchmark.records.tracking import Tracker
from benchmark.studies.order import plan as planning
from benchmark.studies.order.arms import BAR
from benchmark.studies.order.execute import recorded, runs_on_data
from benchmark.studies.order.experiment import Experiment, Plan
from tests.tiny import write_screen

SOURCE = ("pretrained",)
"""One source that is tested; noise and wrong stand beside it always."""
METHODS = """
import os
from pathlib import Path
from typing import ClassVar, Literal
import numpy as np
from benchmark.config import MethodConfig, parameter
from benchmark.machine.progress import stage
from methods.additive import Additive
from methods.train_mean import TrainMean

HOME = Path(os.environ["BENCHMARK_HOME"])
ERROR = {"latent_first": 0.0, "expression_first": 0.2, "joint": 0.1, "true_latent": 0.0, "wrong_latent": 0.4}
HARM = {"pretrained": 0.0, "regression": 0.05, "oracle": 0.0, "noise": 0.3, "wrong": 0.3}

def note(*words):
    with (HOME / "log.txt").open("a") as log:
        print(*words, file=log)

def trouble(name):
    if (HOME / f"interrupt-{name}").exists():
        raise KeyboardInterrupt
    if (HOME / f"fail-{name}").exists():
        raise ValueError(f"no {name} today")

class FlowConfig(MethodConfig):
    steps: int = parameter(40, ge=1, help="Training steps.")
    order: Literal[tuple(ERROR)] = parameter("latent_first", help="Order.")
    attention_source: Literal[(*HARM, "random", "shuffled", "coexpression")] = parameter(
        "pretrained", help="Where the network comes from."
    )
    presets: ClassVar[dict] = {"small": {"steps": 20}}

class Flow(Additive):
    name = "fake_flow"
    Config = FlowConfig

    def fit(self, train, validation):
        note("fit", self.config.attention_source, self.seed, self.config.steps)
        trouble(self.config.attention_source)
        with stage("train flow", self.config.steps) as progress:
            for step in range(self.config.steps):
                progress.advance(loss=1 / (1 + step))
        with stage("learn centre", 1) as progress:
            progress.advance(latent_r2=0.5, ridge_latent_r2=0.5)
        with stage("complete centre", 1) as progress:
            progress.advance(generated_latent_r2=1.0)
        return super().fit(train, validation)

    def predict(self, control, perturbations):
        note("predict", self.config.attention_source, self.config.order, self.seed)
        trouble(self.config.order)
        size = ERROR[self.config.order] + HARM.get(self.config.attention_source, 0.3)
        for perturbation, cells in zip(perturbations, super().predict(control, perturbations)):
            noise = np.random.default_rng(len(str(perturbation))).normal(size=cells.shape[1])
            yield np.maximum(cells + size * noise, 0).astype(np.float32)

class PlainConfig(MethodConfig):
    steps: int = parameter(40, ge=1, help="Training steps.")
    width: int = parameter(8, ge=1, help="Width.")
    presets: ClassVar[dict] = {"small": {"steps": 20}}

class Plain(TrainMean):
    name = "fake_plain"
    Config = PlainConfig

    def fit(self, train, validation):
        note("fit plain", self.seed, self.config.steps)
        return super().fit(train, validation)
"""

CARD = """
title = "Tiny"
local_file = "tiny.h5ad"
expression = "counts"
"""


def write_case(home: Path) -> list[str]:
    """Write data, card and methods into a home; returns the options that name them."""
    downloads = home / "datasets" / "cache" / "downloads"
    downloads.mkdir(parents=True)
    write_screen(downloads / "tiny.h5ad")
    (home / "datasets" / "tiny.toml").write_text(CARD)
    methods = home / "own.py"
    methods.write_text(METHODS)
    return [
        *("--dataset", "tiny", "--cells", "20"),
        *("--method", f"{methods}:Flow", "--without-latent", f"{methods}:Plain"),
    ]


def experiment(home: Path, **changes: object) -> Experiment:
    """The experiment of `write_case`, with one seed and one tested source unless said otherwise."""
    usual = {
        "dataset": "tiny",
        "cells": 20,
        "seeds": 1,
        "sources": SOURCE,
        "method": f"{home / 'own.py'}:Flow",
        "without_latent": f"{home / 'own.py'}:Plain",
    }
    return Experiment(**{**usual, **changes})


def with_one_simple_method(patch: pytest.MonkeyPatch) -> None:
    """Leave out the other simple methods, each of which would take a third of a second in every test."""
    patch.setattr(planning, "REFERENCES", (BAR,))


def write_short_case(home: Path, patch: pytest.MonkeyPatch) -> Path:
    """Write the case with one simple method; returns the home."""
    write_case(home)
    with_one_simple_method(patch)
    return home


def with_truth(patch: pytest.MonkeyPatch) -> None:
    """Have the tiny data taken for a simulated one, so that there may be an oracle."""
    load = planning.load_dataset

    def simulated(name: str) -> Dataset:
        loaded = load(name)
        return replace(loaded, card=loaded.card.model_copy(update={"simulator": {}}))

    patch.setattr(planning, "load_dataset", simulated)


def read_records(plan: Plan) -> dict[str, Record]:
    """Record of each prediction that is there, by key."""
    tracker = Tracker()
    found = recorded(plan, runs_on_data(plan, tracker))
    return {key: tracker.record(run_id) for key, run_id in found.items()}


def log(home: Path) -> list[str]:
    """What the methods have done so far."""
    path = home / "log.txt"
    return path.read_text().splitlines() if path.exists() else []


def fits(home: Path) -> list[str]:
    """The trainings among it."""
    return [line for line in log(home) if line.startswith("fit")]


def kept(home: Path) -> list[Path]:
    """What lies in the work folder."""
    folder = home / "order"
    return [path for path in folder.iterdir() if path.name != ".gitignore"] if folder.exists() else []
