"""What is said of a run in its tags, and what can be read from them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

from benchmark.contexts import context_in
from benchmark.records.record import Coordinates, Record, Status

TAG_LENGTH = 4500
SCORES = "scores"
"""Name of the tags that hold, as one JSON text in parts, what every test perturbation scored."""
ANCHOR = "anchor"
"""Name of the tag that says whether a run was recorded beside another that was asked for."""
CONFIG = "config"
"""Name of the tags that hold, as one JSON text in parts, the hyper-parameters."""


@dataclass(frozen=True)
class StoredRun:
    """A run as one query returns it."""

    run_id: str
    status: Status
    started: float
    tags: dict[str, str]

    @property
    def is_readable(self) -> bool:
        """Whether it has the tags that this version writes; one recorded by an older version may not."""
        needed = {"config_digest", "split_digest"}
        return self.tags.keys() >= (needed | {f"{SCORES}.0000"} if self.status == "finished" else needed)

    @cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """Per metric the value of each test perturbation; NaN where undefined."""
        labels, columns = self._packed["perturbations"], self._packed["scores"].items()
        return {name: dict(zip(labels, values, strict=True)) for name, values in columns}

    @property
    def labels(self) -> list[str]:
        """The test perturbations."""
        return self._packed["perturbations"]

    def of_context(self, context: str) -> StoredRun:
        """Return it with what it scored in one context alone."""
        places = [place for place, label in enumerate(self.labels) if context_in(label) == context]

        def here(values: Sequence[Any]) -> list[Any]:
            return [values[place] for place in places]

        content: dict[str, Any] = {"perturbations": here(self.labels)}
        content["scores"] = {name: here(values) for name, values in self._packed["scores"].items()}
        if "groups" in self._packed:
            content["groups"] = here(self._packed["groups"])
        other = {name: text for name, text in self.tags.items() if not name.startswith(f"{SCORES}.")}
        return replace(self, tags=other | {f"{SCORES}.0000": json.dumps(content)})

    @property
    def groups(self) -> dict[str, str]:
        """The group of each test perturbation; empty for a run that is older than this entry."""
        return dict(zip(self._packed["perturbations"], self._packed.get("groups", []), strict=False))

    @property
    def samples(self) -> str:
        """Samples per control cell; runs that are older than samples had one."""
        return self.tags.get("samples", "1")

    @property
    def is_anchor(self) -> bool:
        """Whether nobody asked for it, and it was recorded beside a run that somebody asked for."""
        return self.tags.get(ANCHOR) == "true"

    @property
    def is_part(self) -> bool:
        """Whether it had another budget, or a part of the training: a point of a curve, and no row."""
        return any(float(self.tags.get(name, 1)) != 1 for name in ("budget", "train_share"))

    @property
    def row_key(self) -> tuple[str, ...]:
        """What runs on the same data and split share that stand in one row, whatever code they ran."""
        names = ("method", "method_version", "config_digest", "cells")
        return (*(self.tags[name] for name in names), self.samples, self.tags.get("devices", "1"))

    @property
    def config(self) -> dict[str, Any] | None:
        """Its hyper-parameters; None for a run that is older than this entry."""
        text = self._joined(CONFIG)
        return json.loads(text) if text else None

    @cached_property
    def _packed(self) -> dict[str, Any]:
        return json.loads(self._joined(SCORES))

    def _joined(self, name: str) -> str:
        """The text that `_in_parts` spread over several tags; empty where there is none."""
        return "".join(self.tags[tag] for tag in sorted(self.tags) if tag.startswith(f"{name}."))


def stored(run_id: str, started: int, tags: dict[str, str]) -> StoredRun:
    """Make a run of what a store has of it; one whose process has ended without a word counts as killed.

    Parameters
    ----------
    run_id, tags
        As the store has them.
    started
        When it began, in milliseconds.
    """
    status = cast(Status, tags.get("status", "failed"))
    if status == "running":
        from benchmark.machine.alive import is_alive

        if not is_alive(tags):
            status = "killed"
    return StoredRun(run_id, status, started / 1000, tags)


def coordinate_tags(at: Coordinates) -> dict[str, str]:
    """What a run is, as the tags that it is found and shown by."""
    tags = {
        **at.model_dump(mode="json", exclude={"config"}),
        "key": at.key,
        "config_digest": at.config_digest,
    }
    text = json.dumps(at.config, sort_keys=True, separators=(",", ":"))
    return {name: str(value) for name, value in tags.items()} | _in_parts(CONFIG, text)


def board_tags(record: Record) -> dict[str, str]:
    """What came of a run, as the tags that a board is made from."""
    tags = {
        "coverage": f"{record.coverage:.4f}",
        "fallbacks": str(len(record.fallbacks)),
        "seconds": f"{record.seconds['total']:.2f}",
        "peak_memory_mb": f"{record.peak_memory_mb:.0f}",
        "device": record.device,
        "metric_versions": json.dumps(record.metric_versions, sort_keys=True),
    }
    if record.threads is not None:
        tags["threads"] = str(record.threads)
    if record.processor_seconds is not None:
        tags["processor_seconds"] = f"{record.processor_seconds:.2f}"
    if record.controls:
        tags["controls"] = json.dumps(record.controls, sort_keys=True)
    if record.sampling_noise is not None:
        tags["sampling_noise"] = f"{record.sampling_noise:.6g}"
    if record.knows_truth:
        tags["knows_truth"] = "true"
    if record.tuning is not None:
        tags["tuning_trials"] = str(record.tuning.trials)
        tags["tuning_seconds"] = f"{record.tuning.seconds:.2f}"
        tags["tuning_overlap"] = str(len(record.tuned_on_test))
    scores = {
        name: [float("nan") if value is None else float(f"{value:.6g}") for value in values]
        for name, values in record.scores.items()
    }
    packed = {"perturbations": record.perturbations, "groups": record.groups, "scores": scores}
    return tags | _in_parts(SCORES, json.dumps(packed, separators=(",", ":")))


def code_tags(record: Record) -> dict[str, str]:
    """Which code a run ran, and whether files differed from its commit; MLflow shows the first."""
    commit, changes, _ = record.versions.get("commit", "").partition("+changes")
    return {"mlflow.source.git.commit": commit, "dirty": str(bool(changes)).lower()}


def _in_parts(name: str, text: str) -> dict[str, str]:
    """Spread a text over tags, none of which is longer than a store takes."""
    starts = range(0, len(text), TAG_LENGTH)
    return {f"{name}.{part:04d}": text[start : start + TAG_LENGTH] for part, start in enumerate(starts)}
