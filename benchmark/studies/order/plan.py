"""Look up what the experiment consists of: trainings, and the predictions that rest on each.

Beside them stand simple methods, each a training of its own with one prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from benchmark.data import Dataset, load_dataset
from benchmark.errors import BenchmarkError, unknown
from benchmark.records.record import configuration_label
from benchmark.registry import load_method
from benchmark.runs.anchors import method_at
from benchmark.runs.request import Request, Task, prepare
from benchmark.studies.order.arms import (
    CONTROLS,
    LATENT_FIRST,
    NEGATIVES,
    NO_LATENT,
    ORACLE,
    ORDERS,
    REFERENCES,
    TESTED,
    TOLD,
    Arm,
)
from benchmark.studies.order.experiment import NONE, Experiment, Plan, Prediction, Training

VARIED = ("order", "attention_source")
"""Hyper-parameters that the experiment chooses itself."""


def make_plan(experiment: Experiment) -> Plan:
    """Look up and check everything that the experiment needs; nothing is fitted or recorded.

    A setting goes to each of the two methods that has it; a preset must be one of both. The simple methods
    take neither.

    Raises
    ------
    BenchmarkError
        For anything that cannot be used, such as a control that does not exist, an oracle where no truth is
        known, or a setting that neither method has.
    """
    if experiment.seeds < 1:
        raise BenchmarkError(f"At least 1 seed is needed, not {experiment.seeds}.")
    _check_names(experiment)
    _check_settings(experiment)
    cells = load_dataset(experiment.dataset)
    truth = cells.card.simulator is not None
    if ORACLE in experiment.sources and not truth:
        raise BenchmarkError(
            f"The source '{ORACLE}' knows the truth of simulated data sets alone, and '{cells.name}' is none "
            "of them; leave it out of --sources."
        )
    sources = experiment.sources or (*TESTED, *([ORACLE] if truth else []))
    controls = tuple(dict.fromkeys((*NEGATIVES, *experiment.controls)))
    trainings = [
        training
        for seed in range(experiment.seeds)
        for training in _trainings(experiment, (*sources, *controls), cells, seed)
    ]
    tasks = [training.task for training in trainings if training.source == sources[0]]
    references = (_reference(task, name) for task in tasks for name in REFERENCES)
    tested = tuple(source for source in sources if source != ORACLE)
    return Plan(experiment, tested, controls, truth, tuple(trainings), tuple(references))


def _check_names(experiment: Experiment) -> None:
    for name in experiment.sources:
        if name not in (*TESTED, ORACLE):
            raise unknown("source", name, (*TESTED, ORACLE))
    if experiment.sources and not set(experiment.sources) & set(TESTED):
        raise BenchmarkError(
            f"At least one source that can be tested is needed; choose among {', '.join(TESTED)}."
        )
    for name in experiment.controls:
        if name in (*TESTED, ORACLE):
            raise BenchmarkError(
                f"'{name}' is a source and cannot be a control; name it in --sources, and as controls any of "
                f"{', '.join(CONTROLS)}."
            )
        if name not in (*NEGATIVES, *CONTROLS):
            raise unknown("control", name, (*NEGATIVES, *CONTROLS))


def _check_settings(experiment: Experiment) -> None:
    for name in VARIED:
        if name in experiment.settings:
            raise BenchmarkError(f"The experiment chooses '{name}' itself; leave out --set {name}=...")
    methods = [experiment.method, experiment.without_latent]
    configs = [load_method(name).Config for name in methods if name != NONE]
    known = {name for config in configs for name in config.model_fields} - set(VARIED)
    for name in experiment.settings:
        if name not in known:
            raise unknown("hyper-parameter", name, known)


def _trainings(
    experiment: Experiment, sources: tuple[str, ...], cells: Dataset, seed: int
) -> Iterator[Training]:
    """One training per source, then the method without a latent."""
    for source in sources:
        varied = {"attention_source": source, "order": LATENT_FIRST}
        task = _task(experiment, experiment.method, cells, seed, varied)
        orders = (*ORDERS, *TOLD) if source == ORACLE else ORDERS
        predictions = (Prediction(Arm(source, order), _in_order(task, order)) for order in orders)
        yield Training(source, tuple(predictions))
    if experiment.without_latent != NONE:
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
