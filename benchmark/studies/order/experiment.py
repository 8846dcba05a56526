"""What somebody asks for, and what it takes: trainings, and the predictions that rest on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmark.predicting import CELLS
from benchmark.records.record import Coordinates
from benchmark.runs.request import Task
from benchmark.studies.order.arms import (
    NO_LATENT,
    OF_TOLD,
    ORACLE,
    Arm,
    Comparison,
    decisive,
    of_controls,
    of_latent,
    of_orders,
)

NONE = "none"
"""In place of a method without a latent: there is none."""


@dataclass(frozen=True)
class Experiment:
    """What somebody asks for on the command line."""

    dataset: str = "simulated"
    split: str = "doubles"
    seeds: int = 3
    cells: int = CELLS
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    """All that are tested and, on simulated data, the oracle, unless some are named."""
    controls: tuple[str, ...] = ()
    """Beside those that are always there."""
    device: str = "auto"
    method: str = "grnflow_any_order"
    """With the hyper-parameters `order`, which only prediction reads, and `attention_source`."""
    without_latent: str = "scdfm"
    """`NONE` leaves it out."""


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
    tested
        Sources that an answer is given for.
    controls
        Sources that know less.
    has_truth
        Whether the network is known that the cells were made with.
    trainings
        Those that the experiment is about.
    references
        One for each simple method and seed, with one prediction, whose arm bears the method's name.
    """

    experiment: Experiment
    tested: tuple[str, ...]
    controls: tuple[str, ...]
    has_truth: bool
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
    def with_network(self) -> list[str]:
        """Sources that say something of the network: those that are tested, and the oracle."""
        sources = dict.fromkeys(arm.source for arm in self.arms if arm != NO_LATENT)
        return [source for source in sources if source not in self.controls]

    @property
    def without_latent(self) -> Training | None:
        """The first training of the method without a latent."""
        return next((each for each in self.trainings if each.source == NO_LATENT.label), None)

    @property
    def comparisons(self) -> list[Comparison]:
        """What can be compared, source by source, the positive control last."""
        wanted = [
            pair for source in self.tested for pair in (*decisive(source, self.controls), of_latent(source))
        ]
        wanted += [*of_orders(ORACLE), OF_TOLD, *of_controls(ORACLE, self.controls)]
        arms = set(self.arms)
        return [pair for pair in wanted if {*pair} <= arms]


def _label(task: Task, variant: str) -> str:
    """Name method, variant and seed; the variant of a simple method is its name, which is said once."""
    method = task.coordinates.method
    return ", ".join(dict.fromkeys((method, variant, f"seed {task.coordinates.seed}")))


def _fit_coordinates(coordinates: Coordinates) -> Coordinates:
    config = {name: value for name, value in coordinates.config.items() if name != "order"}
    return coordinates.model_copy(update={"config": config, "cells": 0})
