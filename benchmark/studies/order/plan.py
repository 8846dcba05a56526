"""What the experiment consists of: trainings, the predictions that rest on each, and what is compared.

Beside them stand simple methods, each a training of its own with one prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmark.data import Dataset, load_dataset
from benchmark.errors import BenchmarkError, unknown
from benchmark.predicting import CELLS
from benchmark.records.record import Coordinates, configuration_label
from benchmark.registry import load_method
from benchmark.runs.anchors import method_at
from benchmark.runs.run import Request, Task, prepare
from benchmark.studies.order.arms import (
    CONTROLS,
    DECISIVE,
    LATENT_FIRST,
    NO_LATENT,
    OF_LATENT,
    ORDERS,
    PRETRAINED,
    REFERENCES,
    Arm,
    Comparison,
)

VARIED = ("order", "attention_source")
"""Hyper-parameters that the experiment chooses itself."""


@dataclass(frozen=True)
class Experiment:
    """What somebody asks for on the command line."""

    dataset: str = "simulated"
    split: str = "doubles"
    seeds: int = 3
    cells: int = CELLS
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    controls: tuple[str, ...] = CONTROLS
    device: str = "auto"
    method: str = "grnflow_any_order"
    """With the hyper-parameters `order`, which only prediction reads, and `attention_source`."""
    without_latent: str = "scdfm"


@dataclass(frozen=True)
class Prediction:
    """One recorded run."""

    arm: Arm
    task: Task

    @property
    def key(self) -> str:
        """By which its record is found."""
        return self.task.coordinates.key

    @property
    def label(self) -> str:
        """What messages call it."""
        return _label(self.task, self.arm.label)


@dataclass(frozen=True)
class Training:
    """One fit, and the predictions that are made with its weights."""

    source: str
    predictions: tuple[Prediction, ...]

    @property
    def task(self) -> Task:
        """What is fitted; the order in its configuration is of no matter."""
        return self.predictions[0].task

    @property
    def key(self) -> str:
        """SHA-256 of all that decides the fit: the coordinates without order and number of cells."""
        return _fit_coordinates(self.task.coordinates).key

    @property
    def label(self) -> str:
        """What messages call it."""
        return _label(self.task, self.source)


@dataclass(frozen=True)
class Plan:
    """Everything that has to be there for the report.

    Attributes
    ----------
    experiment
        What was asked for.
    trainings
        Those that the experiment is about.
    references
        One for each simple method and seed, with one prediction, whose arm bears the method's name.
    """

    experiment: Experiment
    trainings: tuple[Training, ...]
    references: tuple[Training, ...]

    @property
    def predictions(self) -> list[Prediction]:
        """Those that the experiment is about, in the order in which they are made."""
        return [prediction for training in self.trainings for prediction in training.predictions]

    @property
    def simple(self) -> list[Prediction]:
        """Those of the simple methods."""
        return [prediction for training in self.references for prediction in training.predictions]

    @property
    def all_predictions(self) -> list[Prediction]:
        """Those of the simple methods, which are made first, then the others."""
        return [*self.simple, *self.predictions]

    @property
    def arms(self) -> list[Arm]:
        """The ways to predict that are tried."""
        return list(dict.fromkeys(prediction.arm for prediction in self.predictions))

    @property
    def comparisons(self) -> list[Comparison]:
        """What can be compared: a control that was left out cannot."""
        return [pair for pair in (*DECISIVE, OF_LATENT) if {*pair} <= {*self.arms}]


def make_plan(experiment: Experiment) -> Plan:
    """Look up and check everything that the experiment needs; nothing is fitted or recorded.

    A setting goes to each of the two methods that has it; a preset must be one of both. The simple methods
    take neither.

    Raises
    ------
    BenchmarkError
        For anything that cannot be used, such as a control that does not exist or a setting that neither
        method has.
    """
    if experiment.seeds < 1:
        raise BenchmarkError(f"At least 1 seed is needed, not {experiment.seeds}.")
    if not experiment.controls:
        raise BenchmarkError(f"At least one control is needed; choose among {', '.join(CONTROLS)}.")
    for name in experiment.controls:
        if name not in CONTROLS:
            raise unknown("control", name, CONTROLS)
    _check_settings(experiment)
    cells = load_dataset(experiment.dataset)
    trainings = [each for seed in range(experiment.seeds) for each in _trainings(experiment, cells, seed)]
    tasks = [training.task for training in trainings if training.source == PRETRAINED]
    references = (_reference(task, name) for task in tasks for name in REFERENCES)
    return Plan(experiment, tuple(trainings), tuple(references))


def _check_settings(experiment: Experiment) -> None:
    for name in VARIED:
        if name in experiment.settings:
            raise BenchmarkError(f"The experiment chooses '{name}' itself; leave out --set {name}=...")
    configs = [load_method(name).Config for name in (experiment.method, experiment.without_latent)]
    known = {name for config in configs for name in config.model_fields} - set(VARIED)
    for name in experiment.settings:
        if name not in known:
            raise unknown("hyper-parameter", name, known)


def _trainings(experiment: Experiment, cells: Dataset, seed: int) -> Iterator[Training]:
    """One training per attention source, then the method without a latent."""
    for source in dict.fromkeys((PRETRAINED, *experiment.controls)):
        varied = {"attention_source": source, "order": LATENT_FIRST}
        task = _task(experiment, experiment.method, cells, seed, varied)
        predictions = (Prediction(Arm(source, order), _in_order(task, order)) for order in ORDERS)
        yield Training(source, tuple(predictions))
    plain = _task(experiment, experiment.without_latent, cells, seed, {})
    yield Training(NO_LATENT.label, (Prediction(NO_LATENT, plain),))


def _task(experiment: Experiment, method: str, cells: Dataset, seed: int, varied: Mapping[str, str]) -> Task:
    fields = load_method(method).Config.model_fields
    return prepare(
        Request(
            method=method,
            dataset=experiment.dataset,
            split=experiment.split,
            seed=seed,
            preset=experiment.preset,
            settings={
                **{name: value for name, value in experiment.settings.items() if name in fields},
                **varied,
            },
            device=experiment.device,
            cells=experiment.cells,
        ),
        cells,
    )


def _reference(task: Task, name: str) -> Training:
    """A simple method with its default configuration, on the data, split and cells of a task."""
    coordinates, method_class = method_at(name, task.coordinates), load_method(name)
    simple = replace(task, coordinates=coordinates, method_class=method_class, config=method_class.Config())
    return Training(name, (Prediction(Arm(name), simple),))


def _in_order(task: Task, order: str) -> Task:
    """The same task with another order of inference."""
    config = type(task.config).build(settings={**task.config.model_dump(), "order": order})
    about = {"config": config.model_dump(mode="json"), "configuration": configuration_label(config)}
    return replace(task, config=config, coordinates=task.coordinates.model_copy(update=about))


def _label(task: Task, variant: str) -> str:
    """Name method, variant and seed; the variant of a simple method is its name, which is said once."""
    method = task.coordinates.method
    return ", ".join(dict.fromkeys((method, variant, f"seed {task.coordinates.seed}")))


def _fit_coordinates(coordinates: Coordinates) -> Coordinates:
    config = {name: value for name, value in coordinates.config.items() if name != "order"}
    return coordinates.model_copy(update={"config": config, "cells": 0})
