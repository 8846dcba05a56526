"""One open run: what it says of itself at once, and what it keeps until it has finished."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.records.record import Coordinates, Record
from benchmark.records.tracking.delivery import Delivery
from benchmark.records.tracking.store import Point, Store, alone, readable
from benchmark.records.tracking.surroundings import SystemMonitor, environment_text, inputs
from benchmark.records.tracking.tags import TAG_LENGTH

_log = logging.getLogger("benchmark")
Curves = Mapping[str, Sequence[tuple[int, float]]]


@dataclass
class Recording:
    """One open run."""

    store: Store
    run_id: str
    monitor: SystemMonitor = field(default_factory=SystemMonitor)
    _curves: list[Point] = field(default_factory=list)

    def write_parameters(self, coordinates: Coordinates) -> None:
        """Log hyper-parameters and coordinates as MLflow parameters, data and split as its inputs."""
        from mlflow.entities import Param

        values: dict[str, Any] = coordinates.model_dump(
            include={"dataset", "split", "seed", "cells", "samples"}
        )
        values.update(coordinates.config)
        parameters = [Param(name, str(value)[:TAG_LENGTH]) for name, value in values.items()]
        with readable(self.store.uri):
            self.store.client.log_batch(self.run_id, params=parameters)
            with alone():  # MLflow fails where two runs bring a new data set at once
                self.store.client.log_inputs(self.run_id, inputs(coordinates))

    def write_curves(self, curves: Curves) -> None:
        """Keep named series of (step, value), such as losses, until the run has finished."""
        self._curves += as_points(curves)

    def finish(self, record: Record, files: Sequence[Path]) -> None:
        """Keep the record and its files, and only then call the run finished.

        Where the store is away, they wait in a folder of the project, and the next command that finds the
        store delivers them.
        """
        now = int(time.time() * 1000)
        numbers = [Point(name, value, now, 0) for name, value in numbers_of(record).items()]
        with tempfile.TemporaryDirectory() as folder:
            environment = Path(folder) / "environment.txt"
            environment.write_text(environment_text())
            points = [*self._curves, *self.monitor.metrics, *numbers]
            delivery = Delivery(record, points, [*files, environment])
            try:
                delivery.deliver(self.store)
            except BenchmarkError as error:
                kept = delivery.keep(self.store.uri)
                _log.warning(
                    "%s The result is safe in %s; the next command delivers it when the store is back.",
                    error,
                    kept,
                )


def as_points(curves: Curves) -> list[Point]:
    """Turn named series of (step, value) into what a store keeps of this moment."""
    now = int(time.time() * 1000)
    return [Point(name, value, now, step) for name, curve in curves.items() for step, value in curve]


def numbers_of(record: Record) -> dict[str, float]:
    """What MLflow shows as metrics of a run."""
    numbers = {name: summary.mean for name, summary in record.metrics.items() if summary.mean is not None}
    numbers.update({f"seconds_{part}": value for part, value in record.seconds.items()})
    return numbers | {"coverage": record.coverage, "peak_memory_mb": record.peak_memory_mb}
