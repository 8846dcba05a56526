"""The table as a file, which the page of the board shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS
from benchmark.machine.paths import data_files, project_home, replacing
from benchmark.studies.trust.measure import TrustTable

KIND = "leaderboard/trust"
DIGITS = 4
"""Significant digits that are kept."""


def trust_path(dataset: str, split: str) -> Path:
    """Return where the table of a board belongs."""
    return project_home() / KIND / f"{dataset}-{split}.json"


def write_trust(table: TrustTable, seeds: Mapping[str, float], path: Path) -> Path:
    """Write a table with the noise of seeds, whole or not at all.

    Parameters
    ----------
    table
        What was measured.
    seeds
        As `seed_noise` gives it.
    path
        Where it goes.
    """
    metrics = {
        name: {
            "version": METRICS[name].spec.version,
            **{column: _short(value) for column, value in row.items()},
            "seeds": _short(seeds.get(name, float("nan"))),
        }
        for name, row in table.rows.iterrows()
    }
    about = {
        "dataset": table.dataset,
        "dataset_digest": table.dataset_digest,
        "split": table.split,
        "seed": table.seed,
        "perturbations": table.perturbations,
        "metrics": metrics,
    }
    with replacing(path) as draft:
        draft.write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def read_trust(dataset: str, split: str, digest: str) -> dict[str, Any] | None:
    """Return the table of a board, of metrics in their present versions; None where there is none.

    Parameters
    ----------
    dataset, split
        The board.
    digest
        Of the data that it is of: a table of others is none.

    Raises
    ------
    BenchmarkError
        When the file is no such table.
    """
    path = data_files(KIND, ".json").get(f"{dataset}-{split}")
    if path is None:
        return None
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if about["dataset_digest"] != digest:
            return None
        metrics = {
            name: row
            for name, row in about["metrics"].items()
            if name in METRICS and row["version"] == METRICS[name].spec.version
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(
            f"{path} is no table of what metrics can tell ({error}); `python -m benchmark trust` writes it."
        ) from error
    return {**about, "metrics": metrics}


def _short(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if value == value else None
