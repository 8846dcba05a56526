"""What is kept of the surroundings of a run: packages, the machine and its load, data that it rests on."""

from __future__ import annotations

import platform
import sys
import threading
import time
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING, Self

from benchmark.records.record import Coordinates
from benchmark.records.tracking.store import Point

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput
    from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor

INTERVAL = 10.0
"""Seconds between two looks at the load of the machine."""
DIGEST_LENGTH = 36
"""What MLflow keeps of a digest; the whole ones are tags."""


@lru_cache
def environment_text() -> str:
    """Python, the machine and every installed package with its version, a line each."""
    import psutil

    packages = sorted({_name_and_version(found) for found in distributions()}, key=str.lower)
    memory = psutil.virtual_memory().total / 2**30
    about = [
        f"# Python {sys.version.split()[0]}, {platform.platform()}",
        f"# {psutil.cpu_count()} CPUs, {memory:.0f} GiB",
    ]
    return "\n".join([*about, *packages]) + "\n"


def _name_and_version(found: Distribution) -> str:
    """Of an installed package; the rest of its metadata, often a whole README, takes long to parse."""
    head = (found.read_text("METADATA") or "").partition("\n\n")[0]
    wanted = [line for line in head.splitlines() if line.startswith(("Name: ", "Version: "))]
    fields = dict(line.split(": ", 1) for line in wanted)
    return f"{fields['Name']}=={fields['Version']}" if len(fields) == 2 else f"{found.name}=={found.version}"


def inputs(at: Coordinates) -> list[DatasetInput]:
    """The data set and the split of a run, as MLflow shows inputs."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    named = {"data": (at.dataset, at.dataset_digest), "split": (f"{at.split}-{at.seed}", at.split_digest)}
    return [
        DatasetInput(
            Dataset(name=name, digest=digest[:DIGEST_LENGTH], source_type="local", source=at.dataset),
            [InputTag("mlflow.data.context", context)],
        )
        for context, (name, digest) in named.items()
    ]


class SystemMonitor:
    """Looks at the load of the machine while a block runs, in a thread of its own.

    MLflow's own classes measure: CPUs and main memory, and GPUs where ``nvidia-ml-py`` is installed. What
    they find is kept here, so that a store that is away for a while costs nothing.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

        self._monitors: list[BaseMetricsMonitor] = [CPUMonitor()]
        with suppress(ImportError, RuntimeError):  # no GPU, or nothing that could ask it
            self._monitors.append(GPUMonitor())
        self._interval = interval
        self._looks = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.metrics: list[Point] = []

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._interval):
            self._look()

    def _look(self) -> None:
        now, step = int(time.time() * 1000), self._looks
        self._looks += 1
        for monitor in self._monitors:
            monitor.collect_metrics()
            values = monitor.aggregate_metrics()
            monitor.clear_metrics()
            self.metrics += [Point(f"system/{name}", value, now, step) for name, value in values.items()]
