"""One document for a scoring, in the form of cell-eval2's ``evaluation_results.json``, to be replayed from.

It holds every value of every perturbation with the version of its metric, the anchors as statistics of each
metric, and in ``suite.settings`` what was scored: run, file, data, split, and how.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS
from benchmark.machine.paths import replacing
from benchmark.records.record import Record
from benchmark.studies.vcc2026.contexts import ContextScore
from benchmark.studies.vcc2026.suite import SIX

FILE = "evaluation_results.json"
SUITE = "vcc2026"
OF_A_PANEL = "expr_mse_unbiased_capped_norm"
STATISTICS = {
    "mean": ("Mean", "Mean over the perturbations where the metric is defined."),
    "ratio_of_sums": ("Ratio of sums", "Sum of errors over sum of distances, over all perturbations."),
    "baseline": ("Mean response", "What the mean response of all perturbations scores: 0 on the scale."),
    "replicate": ("Replicate", "What a half of the real cells scores as a prediction of the other: 1."),
    "scaled": ("Scaled score", "(value - baseline) / (replicate - baseline), held where the metric says so."),
}
TOLERANCE = 1e-9
"""How far a replayed value may be off: other threads add in another order."""


def document_of(found: ContextScore, record: Record) -> dict[str, Any]:
    """Write a scoring down.

    Parameters
    ----------
    found
        The scoring.
    record
        The run that was scored.
    """
    at = record.coordinates
    settings = {
        "run_id": record.run_id,
        "archive_sha256": record.archive_sha256,
        "fallbacks": sorted(record.fallbacks),
        **at.model_dump(include={"method", "method_version", "configuration", "config", "seed", "cells"}),
        **at.model_dump(include={"dataset", "dataset_digest", "split", "split_digest", "samples"}),
        "holds": found.holds,
        "unmeasured_targets": list(found.unmeasured),
        "anchors": {"halvings": found.halvings, "seed": found.seed},
        "score": found.score,
    }
    if found.context:
        settings["context"] = found.context
    return {
        "schema_version": 1,
        "suite": {
            "name": SUITE,
            "version": version("perturbation-benchmark"),
            "commit": None,
            "settings": settings,
        },
        "statistics": {name: _named(*text) for name, text in STATISTICS.items()},
        "axes": {
            "perturbation": {
                **_named("Perturbation", "A perturbation of the context."),
                "labels": list(found.table.index),
            }
        },
        "metrics": {name: _metric(name, found) for name in SIX},
    }


def write_document(document: Mapping[str, Any], folder: Path) -> Path:
    """Write it to a folder, whole or not at all; returns its path."""
    path = folder / FILE
    with replacing(path) as draft:
        draft.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return path


def read_document(path: Path) -> dict[str, Any]:
    """Read what `write_document` wrote.

    Raises
    ------
    BenchmarkError
        When there is no such file, or it is none of this suite.
    """
    try:
        document = json.loads(path.read_text())
        named = document["suite"]["name"], document["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path} cannot be read as a scoring ({error}); name a {FILE}.") from error
    if named != (SUITE, 1):
        raise BenchmarkError(
            f"{path} is of the suite '{named[0]}', form {named[1]}, and only {SUITE}, form 1, is replayed."
        )
    return document


def require_same_data(document: Mapping[str, Any], digest: str) -> None:
    """Refuse to replay on other data than a document was made on.

    Raises
    ------
    BenchmarkError
        When the data have another digest.
    """
    settings = document["suite"]["settings"]
    if settings["dataset_digest"] != digest:
        raise BenchmarkError(
            f"The scoring is of '{settings['dataset']}' with the digest {settings['dataset_digest'][:12]}, "
            f"and that is {digest[:12]} now; replay it on the data that it was made on."
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say what two documents of the same run differ in; a version that was raised explains other values."""
    found = []
    for name in SIX:
        before, after = old["metrics"][name], new["metrics"][name]
        if before["version"] != after["version"]:
            found.append(f"{name} has version {after['version']} now, not {before['version']}")
            continue
        pairs = [
            (f"of {what}", before["statistics"][what], after["statistics"][what])
            for what in STATISTICS
            if what in before["statistics"]
        ]
        labels = old["axes"]["perturbation"]["labels"]
        if "values" in before:
            pairs += [
                (f"of {label}", one, other)
                for label, one, other in zip(labels, before["values"], after["values"], strict=True)
            ]
        for what, one, other in pairs:
            same = one == other or (None not in (one, other) and abs(one - other) <= TOLERANCE)
            if not same:
                found.append(f"{name} {what} is {other} now, not {one}")
    return found


def _metric(name: str, found: ContextScore) -> dict[str, Any]:
    spec = METRICS[name].spec
    of_panel = name == OF_A_PANEL
    headline = "ratio_of_sums" if of_panel else "mean"
    entry: dict[str, Any] = {
        **_named(name, spec.formula),
        "version": int(spec.version),
        "headline": {"statistic": headline, "direction": "higher" if spec.higher_is_better else "lower"},
        "statistics": {
            headline: _plain(found.values[name]),
            "baseline": _plain(found.low[name]),
            "replicate": _plain(found.high[name]),
            "scaled": found.scaled[name],
        },
    }
    if not of_panel:
        entry |= {"axis": "perturbation", "values": [_plain(value) for value in found.table[name]]}
    return entry


def _named(name: str, description: str) -> dict[str, str]:
    return {"display_name": name, "description": description}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
