"""What somebody asks to be tuned; nothing heavy is imported here, so that processes start quickly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Direction = Literal["minimize", "maximize"]
TRIALS = 50
RANK = "mean_rank"
"""Name of the default objective."""


@dataclass(frozen=True)
class Plan:
    """What somebody asks for on the command line.

    Attributes
    ----------
    method, dataset, split, device, columns
        As in `benchmark.runs.request.Request`.
    seed
        Which frozen split, the seed of the method, and that of the draws.
    preset, settings
        Hyper-parameters that are given: they are kept, and the others are looked for.
    trials
        How many the study is to have in all, those of earlier calls among them.
    timeout
        Seconds of this call after which no trial begins; None for no limit.
    objective
        ``"mean_rank"``, or the name of a metric.
    storage
        Address of the database of studies; None for the file ``tuning.db`` of the project.
    jobs
        How many processes try configurations at once.
    output
        File of the best configuration; None for one that is named after what was tuned.
    """

    method: str
    dataset: str = "simulated"
    split: str = "doubles"
    seed: int = 0
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    trials: int = TRIALS
    timeout: float | None = None
    objective: str = RANK
    storage: str | None = None
    jobs: int = 1
    device: str = "auto"
    columns: Mapping[str, Any] = field(default_factory=dict)
    output: Path | None = None
