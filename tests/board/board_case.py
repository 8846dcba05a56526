"""Recorded runs as the store returns them, made up for tests of the board."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmark.board import BOUNDS, HEADLINE
from benchmark.records.tracking import StoredRun

BETTER = {"de_overlap_adjusted": 1, "direction_balanced": 1, "mse": -1, "pearson": 1}


def stored(
    method: str,
    scores: Mapping[str, Sequence[float]],
    *,
    seed: int = 0,
    labels: Sequence[str] = ("A+B", "C+D"),
    groups: Sequence[str] = (),
    status: str = "finished",
    started: float = 0,
    **other: str,
) -> StoredRun:
    """A run with these scores of these perturbations; older runs do not know their groups."""
    tags = {
        "key": f"{method}-{seed}",
        "method": method,
        "method_version": "1",
        "configuration": "default",
        "dataset": "tiny",
        "dataset_digest": "d" * 64,
        "split_digest": "s" * 64,
        "config_digest": "c" * 64,
        "split": "doubles",
        "seed": str(seed),
        "cells": "0" if method in BOUNDS else "256",
        "coverage": "1.0",
        "fallbacks": "0",
        "seconds": "1.5",
        "metric_versions": "{}",
    }
    columns = {name: list(values) for name, values in scores.items()}
    content = {"perturbations": list(labels), "scores": columns} | (
        {"groups": list(groups)} if groups else {}
    )
    packed = json.dumps(content)
    # Long texts are spread over several tags.
    tags.update({"scores.0000": packed[:40], "scores.0001": packed[40:]}, **other)
    return StoredRun(f"id-{method}-{seed}-{started}", status, started, tags)


def names(n: int) -> list[str]:
    """Labels of n perturbations, in alphabetical order."""
    return [f"P{index:02d}+Q" for index in range(n)]


def alike(values: Sequence[float]) -> dict[str, list[float]]:
    """Headline scores that are all these values, with those of which less is better turned around."""
    return {name: [0.5 + BETTER[name] * value for value in values] for name in HEADLINE}
