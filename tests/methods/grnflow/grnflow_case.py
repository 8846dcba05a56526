"""Cells made for the purpose, and flow methods fitted on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from benchmark.machine.progress import report_to
from benchmark.method import Method
from benchmark.perturbation import Perturbation

GENES = [f"G{index}" for index in range(20)]
LABELS = ["A", "B", "G1", "G2", "A+B", "A+G1", "B+G2"]


def cells(labels: list[str], each: int, seed: int = 0) -> AnnData:
    """Log-normalised cells in which a perturbation pushes some genes up, and others down."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.2, 3, size=20)
    names = ["A", "B", "G1", "G2"]
    effects = {name: np.random.default_rng(k).uniform(0.3, 3, 20) for k, name in enumerate(names)}
    rows = []
    for label in labels:
        rate = base * np.prod([effects.get(gene, np.ones(20)) for gene in label.split("+")], axis=0)
        rows.append(np.log1p(rng.poisson(rate, size=(each, 20))))
    obs = pd.DataFrame({"perturbation": np.repeat(labels, each)})
    obs.index = [f"cell{row}" for row in range(len(obs))]
    return AnnData(sparse.csr_matrix(np.concatenate(rows).astype(np.float32)), obs, pd.DataFrame(index=GENES))


def training_cells() -> AnnData:
    """Twenty-four controls and twelve cells of each of six perturbations."""
    return cells(["control"] * 2 + LABELS[:-1], 12)


def validation_cells() -> AnnData:
    """Twelve cells of the seventh."""
    return cells(LABELS[-1:], 12, seed=1)


def new(method: type[Method], seed: int = 0, **settings: object) -> Method:
    """A method with its smoke preset, and other settings where they are named."""
    preset = method.Config.presets["smoke"]
    return method(method.Config.build(settings={**preset, **settings}), seed=seed, device="cpu")


def fitted(method: type[Method], seed: int = 0, **settings: object) -> Method:
    """The same, fitted."""
    return new(method, seed, **settings).fit(training_cells(), validation_cells())


def predicted(method: Method, *labels: str, control: AnnData | None = None) -> list[np.ndarray]:
    """Predict labels from ten control cells."""
    start = cells(["control"], 10, seed=3) if control is None else control
    return list(method.predict(start, [Perturbation.parse(label) for label in labels]))


class Recorder:
    """Keeps totals, steps done and all values of every stage, and may interrupt one."""

    def __init__(self, stop: tuple[str, int] | None = None) -> None:
        self.stop = stop
        self.totals: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.values: dict[str, list[dict[str, float]]] = {}

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Recorder]:
        """Open a stage."""
        self.now = name
        self.totals[name], self.done[name], self.values[name] = total, 0, []
        yield self

    def advance(self, steps: int = 1, **values: float) -> None:
        """Keep what is said."""
        self.done[self.now] += steps
        self.values[self.now].append(values)
        if self.stop == (self.now, self.done[self.now]):
            raise KeyboardInterrupt

    def all(self, stage: str, name: str) -> list[float]:
        """One value of a stage, wherever it was reported."""
        return [values[name] for values in self.values[stage] if name in values]


@contextmanager
def recorded(stop: tuple[str, int] | None = None) -> Iterator[Recorder]:
    """Record what is reported inside."""
    recorder = Recorder(stop)
    with report_to(recorder):
        yield recorder
