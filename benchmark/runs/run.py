"""One run from its coordinates to its record: fit, predict, archive, score, keep.

A run that is finished is found by its coordinates, so what the work needs is imported when there is work.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config import MethodConfig
from benchmark.contexts import NONE
from benchmark.data import Dataset
from benchmark.data.dataset import find_dataset
from benchmark.errors import BenchmarkError
from benchmark.failures import told_apart
from benchmark.machine import peers
from benchmark.machine.device import require_device
from benchmark.machine.progress import CurveKeeper, report_to
from benchmark.method import Method
from benchmark.predicting import CELLS, predict_all, require_draws, sample_cells, sampling_noise
from benchmark.records.record import Coordinates, Record, Tuning, configuration_label
from benchmark.records.tracking import Recording, Tracker
from benchmark.registry import load_method, source_digest
from benchmark.runs.claims import claimed
from benchmark.splits import Split, load_split, require_scheme

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

_log = logging.getLogger("benchmark")

COMPARES = "benchmark.evaluation.metrics.differential"
"""Takes a second to import, which is to be over before the time of the metrics is taken."""


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


@dataclass(frozen=True)
class Fitted:
    """A fitted method, with what every run that rests on its training keeps of it.

    Attributes
    ----------
    method
        Ready to predict.
    started
        When the training began, ISO 8601, UTC.
    seconds
        How long it took.
    curves
        Losses and the like: name -> (step, value).
    processor_seconds
        What it took of all processors, processes that were started for it included; None where not known.
    """

    method: Method
    started: str
    seconds: float
    curves: dict[str, list[tuple[int, float]]]
    processor_seconds: float | None = None


def run(request: Request, dataset: Dataset | None = None) -> tuple[Record, bool]:
    """Do a run, or show the finished one with the same coordinates.

    Parameters
    ----------
    request
        What is asked for.
    dataset
        The data set that it names, where it is loaded already.

    Returns
    -------
    tuple
        The record, and whether it was done now.

    Raises
    ------
    BenchmarkError
        For anything in the request or the data that cannot be used; no run is recorded then.
    """
    return perform(prepare(request, dataset), force=request.force)


def perform(task: Task, force: bool = False, wait: bool = True) -> tuple[Record, bool]:
    """Do what has been prepared, as `run` does.

    Parameters
    ----------
    task
        What is done.
    force
        Whether it is repeated where it is finished.
    wait
        Whether another process that does the same is waited for; else it is a `filelock.Timeout`.
    """
    tracker = Tracker()
    if not force and (earlier := tracker.finished(task.coordinates.key)) is not None:
        peers.agree(False)
        return _with_ledger(earlier, task.tuning, tracker), False
    with claimed(task.coordinates.key, wait):
        tracker.close_dead_runs()
        if not force:
            earlier = tracker.finished(task.coordinates.key)  # of a process that was waited for
            peers.agree(earlier is None)
            if earlier is not None:
                return _with_ledger(earlier, task.tuning, tracker), False
        _ = task.dataset.adata  # read before the run begins: data that cannot be used leave none
        with (
            tracker.recording(task.coordinates, task.is_anchor) as recording,
            peers.noticing_loss(),
        ):
            return record_predictions(task, fit(task), recording), True


def _with_ledger(record: Record, tuning: Tuning | None, tracker: Tracker) -> Record:
    """Write into a finished run what it cost to choose its configuration, which was run before it was chosen.

    So the board says how often a method was tuned also where nothing was better than its default. What was
    spent is never forgotten for a study with fewer trials.
    """
    known = record.tuning.trials if record.tuning else 0
    if tuning is None or tuning.trials <= known:
        return record
    renewed = record.model_copy(update={"tuning": tuning})
    tracker.replace_record(renewed)
    return renewed


def assist(task: Task, force: bool = False) -> None:
    """Do the share of a process that is not the first of a run on several devices; the first one records."""
    if force or peers.agree(True):
        predict(task, fit(task).method)


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


def fit(task: Task) -> Fitted:
    """Train the method of a task on the cells that it may see, and that hold no test cell."""
    from benchmark.evaluation.leaks import check_views
    from benchmark.runs.keep import Clock, processor_seconds
    from benchmark.splits.views import training_views

    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock, curves = Clock(), CurveKeeper()
    if task.split.contexts != (NONE,) and not task.method_class.supports_contexts:
        _log.warning(
            "%s looks at no contexts: it learns from the cells of all as if they were of one.",
            task.method_class.name,
        )
    train, validation = training_views(task.dataset, task.learned_from)
    check_views(task.dataset, task.learned_from, train, validation)
    method = task.method_class(task.config, seed=task.coordinates.seed, device=task.device)
    before = processor_seconds()
    with report_to(curves), clock.time("fit"), told_apart(method, "fitting"):
        method.fit(train, validation)
    taken = round(processor_seconds() - before, 3)
    return Fitted(method, started, clock.seconds()["fit"], curves.curves, taken)


def predict(task: Task, method: Method) -> tuple[AnnData, Mapping[str, np.ndarray], dict[str, str]]:
    """Predict with a fitted method: the control cells it starts from, and what `predict_all` returns."""
    from benchmark.splits.views import control_cells, training_views

    at = task.coordinates
    start = sample_cells(control_cells(task.dataset, task.split), at.cells, at.seed, at.samples)
    views = partial(training_views, task.dataset, task.learned_from)
    return start, *predict_all(method, start, task.split.test, views)


def record_predictions(task: Task, fitted: Fitted, recording: Recording) -> Record:
    """Predict with a fitted method, archive and score, and keep the record with its files.

    Parameters
    ----------
    task
        What the record is about; the configuration of `fitted.method` must be that of the task.
    fitted
        The training, whose seconds count in this run, also where several runs share it.
    recording
        The open run.
    """
    from benchmark.evaluation.controls import count_controls
    from benchmark.evaluation.independence import require_independence
    from benchmark.evaluation.scoring import score
    from benchmark.records.archive import write_archive
    from benchmark.runs.keep import Clock, keep_results
    from benchmark.splits.views import control_cells, held_out_cells

    import_module(COMPARES)
    clock = Clock(fit=fitted.seconds)
    curves = CurveKeeper()
    method = fitted.method
    control = control_cells(task.dataset, task.split)
    with report_to(curves):
        with clock.time("predict"):
            start, predicted, fallbacks = predict(task, method)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            with clock.time("archive"):
                archive = Path(folder) / "predictions.h5ad"
                about = {name: str(value) for name, value in task.coordinates.model_dump().items()}
                digest = write_archive(archive, control, start.obs, predicted, about)
            with clock.time("metrics"):
                scores = score(task.dataset, task.split, predicted, method.predicts)
                real = held_out_cells(task.dataset, task.split)
                require_independence(real, scores.drop(index=list(fallbacks)))
            own = {label: cells for label, cells in predicted.items() if label not in fallbacks}
            recording.write_curves({**fitted.curves, **curves.curves})
            return keep_results(
                recording,
                task.coordinates,
                task.split,
                scores,
                started=fitted.started,
                device=method.device_used,
                threads=method.threads_used,
                sampling_noise=sampling_noise(method, start, own),
                knows_truth=method.knows_truth(method.config),
                controls=count_controls(task.dataset, task.split),
                clock=clock,
                processor_seconds=fitted.processor_seconds,
                fallbacks=fallbacks,
                archive=archive,
                digest=digest,
                tuning=task.tuning,
            )
