"""What a sweep is asked for, from the command line or a file, and the runs that it comes to."""

from __future__ import annotations

import re
import tomllib
from itertools import product
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from benchmark.board import ANCHORS, BOUNDS
from benchmark.data.dataset import card_of
from benchmark.errors import BenchmarkError, unknown
from benchmark.predicting import CELLS
from benchmark.registry import list_methods, load_method
from benchmark.runs.request import Request, check
from benchmark.sweep.job import Job

ALL = "all"
"""In place of names of methods: every one that is ready to run here."""
MOST = 100_000
"""Runs, and seeds, that a sweep may have."""


class Plan(BaseModel):
    """What somebody asks for.

    Attributes
    ----------
    methods
        Names, or ``path/to/file.py:Class``, or "all".
    datasets, splits, seeds
        Every method is run on each combination. Seeds may be written as "0-4,7".
    preset
        Used by the methods that have it; the others use their default.
    settings
        Hyper-parameters of all methods.
    cells, samples, device, columns
        As in `benchmark.runs.request.Request`.
    anchors
        Whether the rows that every board has are part of the sweep.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...] = Field(min_length=1)
    datasets: tuple[str, ...] = Field(("simulated",), min_length=1)
    splits: tuple[str, ...] = Field(("doubles",), min_length=1)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    preset: str | None = None
    settings: dict[str, Any] = {}
    cells: int = CELLS
    samples: int = 1
    device: str = "auto"
    columns: dict[str, Any] = {}
    anchors: bool = True

    @field_validator("seeds", mode="before")
    @classmethod
    def _read_seeds(cls, value: object) -> object:
        return read_seeds(value) if isinstance(value, str) else value

    @classmethod
    def build(cls, file: Path | None, given: dict[str, Any]) -> Self:
        """Take what a TOML file says, and what is given besides, which goes before.

        Raises
        ------
        BenchmarkError
            When the file cannot be read, or anything in it or beside it is not what a sweep takes.
        """
        try:
            said = {} if file is None else tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BenchmarkError(f"The sweep file {file} cannot be read ({error}); correct it.") from error
        try:
            return cls(**{**said, **given})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            rule = first["msg"].removeprefix("Value error, ")
            advice = f"a sweep takes {', '.join(cls.model_fields)}"
            raise BenchmarkError(f"'{name}' of the sweep is wrong ({rule}); {advice}.") from error

    def jobs(self) -> list[Job]:
        """Every run of the sweep once; those on the same cells follow each other, anchors first.

        Raises
        ------
        BenchmarkError
            When something that the sweep names does not exist or cannot be used, or when there are too many
            runs; nothing has been run then.
        """
        for dataset in self.datasets:
            card_of(dataset, self.columns)
        presets = self._presets()
        rows = len(presets) + (len(ANCHORS) + len(BOUNDS) if self.anchors else 0)
        if (runs := rows * len(self.datasets) * len(self.splits) * len(self.seeds)) > MOST:
            raise BenchmarkError(f"The sweep comes to {runs:,} runs and may have {MOST:,}; divide it.")
        jobs: list[Job] = []
        for dataset, split, seed in product(self.datasets, self.splits, self.seeds):
            place: dict[str, Any] = {
                "dataset": dataset,
                "split": split,
                "seed": seed,
                "cells": self.cells,
                "columns": tuple(
                    (name, tuple(v) if isinstance(v, list) else v) for name, v in self.columns.items()
                ),
            }
            if self.anchors:
                jobs += [Job(method=name, **place) for name in (*ANCHORS, *BOUNDS)]
            more: dict[str, Any] = {
                "settings": tuple(self.settings.items()),
                "samples": self.samples,
                "device": self.device,
            }
            jobs += [Job(method=name, preset=preset, **place, **more) for name, preset in presets.items()]
        return list({job.identity: job for job in jobs}.values())

    def _presets(self) -> dict[str, str | None]:
        """Method -> the preset that it is run with; everything is looked up and checked."""
        names = ready_methods() if self.methods == (ALL,) else self.methods
        classes = {name: load_method(name) for name in names}
        have = [name for name, method in classes.items() if self.preset in method.Config.presets]
        if self.preset not in (None, "default") and not have:
            known = dict.fromkeys(preset for each in classes.values() for preset in each.Config.presets)
            raise unknown("preset", str(self.preset), ["default", *known])
        presets = {name: self.preset if name in have else None for name in classes}
        for (name, preset), split in product(presets.items(), self.splits):
            check(
                Request(
                    method=name,
                    split=split,
                    preset=preset,
                    settings=self.settings,
                    device=self.device,
                    cells=self.cells,
                    samples=self.samples,
                )
            )
        return presets


def ready_methods() -> list[str]:
    """Return the names of all methods that can run here."""
    return [listing.name for listing in list_methods() if _is_ready(listing.name)]


def _is_ready(name: str) -> bool:
    try:
        load_method(name).require_ready()
    except BenchmarkError:
        return False
    return True


def read_seeds(text: str) -> tuple[int, ...]:
    """Read seeds as people write them: ``0-4,7`` is 0, 1, 2, 3, 4 and 7.

    Raises
    ------
    ValueError
        When it is anything else; pydantic makes a sentence of it.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if found is None or int(found[1]) > int(found[2] or found[1]):
            raise ValueError(f"seeds are written as 0-4 or 0,2,5, not '{text}'")
        first, last = int(found[1]), int(found[2] or found[1])
        if last - first >= MOST:
            raise ValueError(f"'{text}' has more than {MOST:,} seeds")
        seeds += range(first, last + 1)
    return tuple(dict.fromkeys(seeds))
