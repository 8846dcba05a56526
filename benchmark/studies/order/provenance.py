"""The last part of the report: from what and by what it was made."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmark.board.text import markdown_table
from benchmark.records.record import Record
from benchmark.studies.order.experiment import Experiment
from benchmark.studies.order.findings import Findings
from benchmark.studies.order.forecast import duration

SHOWN = 10
"""Characters of a digest."""


def provenance(findings: Findings) -> str:
    """Write command, data, splits, configurations, seconds and software."""
    experiment = findings.plan.experiment
    tasks = [training.task for training in findings.plan.trainings]
    splits = {task.coordinates.seed: task.split for task in tasks}
    cells = tasks[0].dataset
    lines = [
        f"- Data: {cells.name}, {cells.adata.n_obs:,} cells, {cells.adata.n_vars:,} genes, digest "
        f"{cells.digest[:SHOWN]}; {tasks[0].coordinates.cells} predicted cells per perturbation."
    ]
    lines += [
        f"- Seed {seed}: split {split.scheme}-{seed}, digest {split.digest[:SHOWN]}: {len(split.train)} "
        f"training, {len(split.validation)} validation, {len(split.test)} test perturbations."
        for seed, split in splits.items()
    ]
    lines += _methods(findings)
    records = [record for by_seed in findings.records.values() for record in by_seed.values()]
    if records:
        lines.append(f"- Software: {_software(records)}.")
    return "\n\n".join(
        ["## How it was made", f"    {command(experiment)}", "\n".join(lines), _arms(findings)]
    )


def command(experiment: Experiment) -> str:
    """Return the command that makes the report again, without the options that were left alone."""
    usual = _options(Experiment())
    words = ["python", "-m", "benchmark", "order"]
    for name, value in _options(experiment).items():
        if value != usual[name]:
            words += [f"--{name}", value]
    for name, value in experiment.settings.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def _options(experiment: Experiment) -> dict[str, str]:
    """Options as they are typed; of a path its last part, which is all that others can use."""
    return {
        "dataset": Path(experiment.dataset).name,
        "split": Path(experiment.split).name,
        "seeds": str(experiment.seeds),
        "cells": str(experiment.cells),
        "preset": str(experiment.preset),
        "sources": ",".join(experiment.sources),
        "controls": ",".join(experiment.controls),
        "device": experiment.device,
        "method": Path(experiment.method).name,
        "without-latent": Path(experiment.without_latent).name,
    }


def _methods(findings: Findings) -> list[str]:
    """One line per method; what the experiment varies is in the name of an arm."""
    lines: dict[str, str] = {}
    for training in (*findings.plan.trainings, *findings.plan.references):
        at = training.task.coordinates
        lines.setdefault(
            at.method,
            f"- `{at.method}`, version {at.method_version}, code digest {at.source_digest[:SHOWN]}, "
            f"configuration {at.configuration}.",
        )
    return list(lines.values())


def _arms(findings: Findings) -> str:
    rows = []
    for arm, by_seed in findings.records.items():
        records = list(by_seed.values())
        if records:
            devices = " / ".join(_different(record.device for record in records))
            digest = records[0].coordinates.config_digest[:SHOWN]
            rows.append((arm.label, digest, devices, _seconds(records, "fit"), _seconds(records, "predict")))
    text = "Times are means over seeds; all orders of one source share their training."
    headings = ("arm", "configuration digest", "device", "training", "prediction")
    return f"{text}\n\n{markdown_table(headings, rows, headings[:1])}" if rows else ""


def _seconds(records: Sequence[Record], part: str) -> str:
    return duration(float(np.mean([record.seconds[part] for record in records])))


def _software(records: Sequence[Record]) -> str:
    """Each version that any run was made with."""
    names = dict.fromkeys(name for record in records for name in record.versions)
    found = {name: _different(record.versions.get(name, "unknown") for record in records) for name in names}
    return ", ".join(f"{name} {' / '.join(versions)}" for name, versions in found.items())


def _different(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
