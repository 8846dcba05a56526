"""What somebody asks for, with everything it names looked up and checked; nothing is written here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.config import MethodConfig
from benchmark.contexts import NONE
from benchmark.data import Dataset
from benchmark.data.dataset import find_dataset
from benchmark.errors import BenchmarkError
from benchmark.machine.device import require_device
from benchmark.method import Method
from benchmark.predicting import CELLS, require_draws
from benchmark.records.record import Coordinates, Tuning, configuration_label
from benchmark.registry import load_method, source_digest
from benchmark.splits import Split, load_split, require_scheme


@dataclass(frozen=True)
class Request:
    """What somebody asks for on the command line."""

    method: str
    dataset: str = "simulated"
    split: str = "doubles"
    seed: int = 0
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    cells: int = CELLS
    """Control cells that each perturbation is predicted for, if there are as many."""
    samples: int = 1
    devices: int = 1
    force: bool = False
    is_anchor: bool = False
    """Whether it is recorded beside a run that somebody asked for, and was not asked for itself."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """How to read an h5ad given by path: what `load_dataset` takes beside its name."""
    shared_controls: bool = False
    """Whether methods are given the control cells that real changes are measured against, too."""
    tuning: Tuning | None = None
    """Where the settings come from, where they were tuned."""
    budget: float = 1.0
    """What the length of training is multiplied with."""
    train_share: float = 1.0
    """Which part of the training perturbations is learned from."""


@dataclass(frozen=True)
class Task:
    """A request with everything it names looked up and checked; nothing has been written yet."""

    coordinates: Coordinates
    method_class: type[Method]
    config: MethodConfig
    device: str
    dataset: Dataset
    split: Split
    tuning: Tuning | None = None
    is_anchor: bool = False

    @property
    def learned_from(self) -> Split:
        """The split with the training perturbations that are learned from: all, or the share asked for."""
        share = self.coordinates.train_share
        return self.split if share == 1 else self.split.with_train_share(share)


def prepare(request: Request, dataset: Dataset | None = None) -> Task:
    """Look up and check everything that a request names; a data set that is given is not loaded again.

    Of a data set that was prepared before no cells are read yet (`benchmark.data.dataset.find_dataset`).
    """
    method_class, config = check(request)
    label = _label(request, config)
    if request.budget != 1:
        config = config.at_budget(request.budget)
    if dataset is None:
        dataset = find_dataset(request.dataset, **request.columns)
    split = load_split(dataset, request.split, request.seed)
    cells = request.cells
    if split.controls is not None:  # each control cell is drawn once at most
        cells = min(cells, _most_cells(dataset, split, request.shared_controls))
    if request.shared_controls:
        split = split.sharing_controls()
    coordinates = Coordinates(
        method=method_class.name,
        method_version=method_class.version,
        configuration=label,
        config=config.model_dump(mode="json"),
        source_digest=source_digest(method_class),
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        split=split.scheme,
        split_digest=split.digest,
        seed=request.seed,
        cells=cells,
        samples=request.samples,
        devices=request.devices,
        budget=request.budget,
        train_share=request.train_share,
    )
    return Task(
        coordinates, method_class, config, request.device, dataset, split, request.tuning, request.is_anchor
    )


def _most_cells(dataset: Dataset, split: Split, shared: bool) -> int:
    """How many control cells methods are given, of the context that is tested and has fewest."""
    if split.contexts == (NONE,):
        return split.controls.known(shared) if split.controls else 0
    from benchmark.splits.views import matched_controls

    own = split.sharing_controls() if shared else split
    return min(int(matched_controls(dataset, own.of_context(context)).sum()) for context in split.contexts)


def check(request: Request) -> tuple[type[Method], MethodConfig]:
    """Check all of a request but its data set, and return the method with its configuration at budget 1."""
    method_class = load_method(request.method)
    method_class.require_ready()
    config = method_class.Config.build(request.preset, request.settings)
    if not 0 < request.budget < math.inf:
        raise BenchmarkError(f"A budget is a positive number, but {request.budget:g} was given.")
    if not 0 < request.train_share <= 1:
        raise BenchmarkError(
            f"The share of the training perturbations is above 0 and up to 1, not {request.train_share:g}."
        )
    if request.budget != 1:
        config.at_budget(request.budget)
    if request.cells < 2:
        raise BenchmarkError(f"At least 2 cells per perturbation must be predicted, not {request.cells}.")
    if request.samples < 1:
        raise BenchmarkError(f"At least 1 sample per control cell must be drawn, not {request.samples}.")
    require_draws(method_class, request.samples)
    if request.devices > 1 and not method_class.spreads:
        raise BenchmarkError(f"{method_class.name} works on one device alone; leave out --devices.")
    require_device(request.device)
    require_scheme(request.split)
    return method_class, config


def _label(request: Request, config: MethodConfig) -> str:
    label = configuration_label(config)
    if request.tuning and label != "default":
        label = request.tuning.label
    unusual = [
        f"{name}={value:g}"
        for name in ("devices", "budget", "train_share")
        if (value := getattr(request, name)) != 1
    ]
    return ", ".join([label, *unusual])
